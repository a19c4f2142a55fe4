"""The report says what it ran on."""

import subprocess
from pathlib import Path

import pytest

from tasks.core import environment as module
from tasks.core.environment import environment


def test_versions_are_those_installed() -> None:
    import torch
    import transformers

    found = environment()
    assert (found["torch"], found["transformers"]) == (torch.__version__, transformers.__version__)
    assert found["threads"] == torch.get_num_threads()


def test_the_commit_is_gits_own_and_none_outside_a_checkout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "PROJECT", tmp_path)
    assert environment()["commit"] is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "first"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    assert head.stdout.startswith(str(environment()["commit"]))
