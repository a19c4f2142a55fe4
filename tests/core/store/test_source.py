"""The digest of a step's code: it moves with everything the step reaches, and nothing else."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core.store import source
from tasks.core.store.source import source_digest


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, text in {
        "tasks/__init__.py": "",
        "tasks/core/__init__.py": "",
        "tasks/core/losses.py": "import math\n",
        "tasks/core/loop.py": "from tasks.core import losses\n",
        "tasks/core/lazy.py": "",
        "tasks/core/report.py": "from tasks.core.loop import train\n",
        "tasks/train.py": "from tasks.core.loop import train\n\n\ndef f():\n"
        "    import tasks.core.lazy\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(source, "PROJECT", tmp_path)
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    source_digest.cache_clear()
    source._imports.cache_clear()


def digest_after_edit(project: Path, name: str) -> tuple[str, str]:
    before = source_digest("tasks.train")
    path = project / name
    path.write_text(path.read_text() + "\nEDITED = True\n")
    forget()
    return before, source_digest("tasks.train")


@pytest.mark.parametrize(
    "name",
    [
        "tasks/train.py",
        "tasks/core/loop.py",
        "tasks/core/losses.py",
        "tasks/core/lazy.py",
        "tasks/core/__init__.py",
    ],
)
def test_an_edit_of_whatever_the_step_imports_changes_the_digest(project: Path, name: str) -> None:
    before, after = digest_after_edit(project, name)
    assert before != after


def test_an_edit_of_what_it_does_not_import_changes_nothing(project: Path) -> None:
    before, after = digest_after_edit(project, "tasks/core/report.py")
    assert before == after


def test_moving_text_between_files_changes_the_digest(project: Path) -> None:
    before = source_digest("tasks.train")
    (project / "tasks/core/loop.py").write_text("from tasks.core import losses\nimport math\n")
    (project / "tasks/core/losses.py").write_text("")
    forget()
    assert source_digest("tasks.train") != before
