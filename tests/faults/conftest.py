"""One Prefect server, one small domain and one undisturbed run for all fault tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.local_server import check_server, prefect_server
from tests.faults.small_disk import mounted
from tests.flows.smoke import content_digests, small_domain, smoke_run


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Environment that sends runs to one server: starting one for each takes longer than a run."""
    os.environ["PREFECT_HOME"] = str(tmp_path_factory.mktemp("prefect"))
    with prefect_server() as address:
        check_server(address)
        yield {"PREFECT_API_URL": address}


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_domain(tmp_path_factory.mktemp("domain"))


@pytest.fixture(scope="session")
def undisturbed(
    root: Path, server: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A store whose one run nothing disturbed."""
    store = tmp_path_factory.mktemp("undisturbed")
    done = smoke_run(root, store, **server)
    assert done.returncode == 0, done.stderr[-3000:]
    return store


@pytest.fixture(scope="session")
def straight(undisturbed: Path) -> dict[str, str]:
    """Content of every artifact of the undisturbed run."""
    return content_digests(undisturbed)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    with mounted(tmp_path / "disk") as disk:
        yield disk
