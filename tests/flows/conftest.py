"""One simulated domain and one finished smoke run, shared by the modules of this folder."""

from pathlib import Path

import pytest

from tests.flows.smoke import small_domain, smoke_run


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_domain(tmp_path_factory.mktemp("domain"))


@pytest.fixture(scope="session")
def store(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one finished run; modules that change it take a copy."""
    store = tmp_path_factory.mktemp("runs")
    done = smoke_run(root, store)
    assert done.returncode == 0, done.stderr[-3000:]
    (store / "first_output.txt").write_text(done.stdout)
    return store
