"""One simulated domain and one finished smoke run, shared by the modules of this folder."""

import gzip
import json
from pathlib import Path

import pytest

from tests.flows.smoke import small_domain, smoke_run

# Begins every group's name in the shared domain, so that a group is known wherever it turns up.
GROUP_MARKER = "zqgroup_"


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = small_domain(tmp_path_factory.mktemp("domain"))
    for name in ("documents", "members"):
        _mark_groups(root / "golden_data" / "job_search" / f"{name}.jsonl.gz")
    return root


@pytest.fixture(scope="session")
def store(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one finished run; modules that change it take a copy."""
    store = tmp_path_factory.mktemp("runs")
    done = smoke_run(root, store)
    assert done.returncode == 0, done.stderr[-3000:]
    (store / "first_output.txt").write_text(done.stdout + done.stderr)
    return store


def _mark_groups(path: Path) -> None:
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    for row in rows:
        row["groups"] = {key: f"{GROUP_MARKER}{value}" for key, value in row["groups"].items()}
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
