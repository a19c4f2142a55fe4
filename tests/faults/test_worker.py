"""A worker of a process pool is killed: its run ends with it, says so, and the next one goes on."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.faults.test_server_away import free_port, serving
from tests.flows.served import Served, wait_for
from tests.flows.smoke import PROJECT, content_digests, environment

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]
PREFECT = [sys.executable, "-m", "prefect", "--no-prompt"]


@pytest.fixture
def pool(root: Path, tmp_path: Path) -> Iterator[tuple[Served, dict[str, str]]]:
    """A server with the process pool of prefect.yaml, and the environment of its workers."""
    on = Served(root, tmp_path, port=free_port())
    workers = environment(
        tmp_path / "prefect",
        PREFECT_API_URL=f"{on.address}/api",
        COOKBOOK_PROJECT=str(PROJECT),
        COOKBOOK_ROOT=str(on.root),
        COOKBOOK_STORE=str(on.store),
        DO_NOT_TRACK="1",
    )
    with serving(tmp_path / "prefect", on.port):
        for words in ("work-pool create --type process cookbook", "deploy --name cookbook"):
            command = [*PREFECT, *words.split()]
            subprocess.run(command, env=workers, cwd=PROJECT, capture_output=True, check=True)
        # Nobody is left to say that the run crashed: the server itself must notice its silence.
        notices = [sys.executable, "-m", "flows.stale_runs"]
        subprocess.run(notices, env=workers, cwd=PROJECT, capture_output=True, check=True)
        yield on, workers


@contextmanager
def worker(env: dict[str, str]) -> Iterator[psutil.Process]:
    """A worker of the pool, in a folder of no meaning to it; killed at the end at the latest."""
    command = [*PREFECT, "worker", "start", "--pool", "cookbook", "--limit", "1"]
    with (Path(env["PREFECT_HOME"]) / "worker.log").open("a") as said:
        started = subprocess.Popen(command, env=env, cwd=PROJECT, stdout=said, stderr=said)
    try:
        yield psutil.Process(started.pid)
    finally:
        started.kill()
        started.wait()


def test_a_killed_worker_takes_its_run_along_and_the_next_one_goes_on(
    pool: tuple[Served, dict[str, str]], straight: dict[str, str]
) -> None:
    on, env = pool
    with worker(env) as process:
        run = on.order("cookbook", profile="smoke")
        building = on.store / "artifacts" / "policy_teacher"
        wait_for(900, "training", lambda: any(building.glob("*.building")))
        below = process.children(recursive=True)
        assert below
        process.kill()
        assert not psutil.wait_procs(below, timeout=60)[1]
    ended = on.ended(run, 900)
    assert ended["state_type"] == "CRASHED", ended["state"]
    with worker(env):
        again = on.ended(on.order("cookbook", profile="smoke"), 1800)
    assert again["state_type"] == "COMPLETED", again["state"]["message"]
    assert "Promoted" in again["state"]["message"]
    assert content_digests(on.store) == straight
