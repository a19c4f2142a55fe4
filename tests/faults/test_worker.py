"""The pools of prefect.yaml and their workers: one is killed, two work beside each other, and the
database behind the server is killed under a run."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faults.test_server_away import free_port, serving
from tests.flows.served import OFFERED, Served, wait_for
from tests.flows.smoke import PROJECT, content_digests, environment

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]
PREFECT = [sys.executable, "-m", "prefect", "--no-prompt"]
POOLS = ("cookbook", "cookbook-beside")


@contextmanager
def pools(root: Path, folder: Path, **server: str) -> Iterator[tuple[Served, dict[str, str]]]:
    """A server with the process pools of prefect.yaml, and the environment of their workers.

    ``server`` goes to the server's environment.
    """
    on = Served(root, folder, port=free_port())
    workers = environment(
        folder / "prefect",
        PREFECT_API_URL=f"{on.address}/api",
        COOKBOOK_PROJECT=str(PROJECT),
        COOKBOOK_ROOT=str(on.root),
        COOKBOOK_STORE=str(on.store),
        DO_NOT_TRACK="1",
    )
    with serving(folder / "prefect", on.port, **server):
        for pool in POOLS:
            command = [*PREFECT, "work-pool", "create", "--type", "process", pool]
            subprocess.run(command, env=workers, cwd=PROJECT, capture_output=True, check=True)
        # It ends with 1, since the pool of containers is not there; the others' are deployed.
        command = [*PREFECT, "deploy", "--all"]
        subprocess.run(command, env=workers, cwd=PROJECT, capture_output=True, check=False)
        assert on.api("/deployments/count", {}) >= OFFERED
        # Nobody is left to say that the run crashed: the server itself must notice its silence.
        notices = [sys.executable, "-m", "flows.stale_runs"]
        subprocess.run(notices, env=workers, cwd=PROJECT, capture_output=True, check=True)
        yield on, workers


@contextmanager
def worker(env: dict[str, str], pool: str = POOLS[0]) -> Iterator[psutil.Process]:
    """A worker of a pool, in a folder of no meaning to it; killed at the end at the latest."""
    command = [*PREFECT, "worker", "start", "--pool", pool, "--limit", "1"]
    with (Path(env["PREFECT_HOME"]) / f"{pool}.log").open("a") as said:
        started = subprocess.Popen(command, env=env, cwd=PROJECT, stdout=said, stderr=said)
    try:
        yield psutil.Process(started.pid)
    finally:
        started.kill()
        started.wait()


def wait_for_training(on: Served) -> None:
    building = on.store / "artifacts" / "policy_teacher"
    wait_for(900, "training", lambda: any(building.glob("*.building")))


def test_a_killed_worker_takes_its_run_along_and_the_next_one_goes_on(
    root: Path, tmp_path: Path, straight: dict[str, str]
) -> None:
    with pools(root, tmp_path) as (on, env):
        with worker(env) as process:
            run = on.order("cookbook", profile="smoke")
            wait_for_training(on)
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


def test_the_second_pool_scores_and_decides_while_the_first_one_trains(
    root: Path, tmp_path: Path, undisturbed: Path
) -> None:
    shutil.copytree(undisturbed, tmp_path / "runs", symlinks=True)
    with pools(root, tmp_path) as (on, env), worker(env), worker(env, POOLS[1]):
        scoring = on.store / "job_search" / "scoring"
        scoring.mkdir(parents=True)
        pair = '{"query_id": "1", "query": "nurse", "title": "Nurse", "text": "Night shifts."}\n'
        (scoring / "pairs.jsonl").write_text(pair * 3)
        training = on.order("cookbook", profile="laptop")
        on.started(training)
        scored = on.ended(on.order("score", output="beside.jsonl"))
        assert scored["state_type"] == "COMPLETED", scored["state"]["message"]
        assert len((scoring / "beside.jsonl").read_text().splitlines()) == 3
        decided = {"version": "v9999", "decision": "refuse", "reason": "there is none"}
        said = on.ended(on.order("approve", **decided))["state"]["message"]
        assert "candidate that waits" in said
        assert on.run(training)["state_type"] == "RUNNING"
        on.cancel(training)
        assert on.ended(training)["state_type"] == "CANCELLED"


class Postgres:
    """A database server of the test's own, on loopback, to be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.data, self.port = folder / "data", free_port()
        # Postgres refuses to run as root; its package makes a user for it.
        self.owner: dict[str, Any] = {}
        if os.getuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
            self.owner = {"user": "postgres", "group": "postgres", "extra_groups": []}
        command = ["initdb", "--auth=trust", "--username=cookbook", "--pgdata", str(self.data)]
        subprocess.run(command, cwd=folder, capture_output=True, check=True, **self.owner)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql+asyncpg://cookbook@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        places = ["-D", str(self.data), "-p", str(self.port), "-k", str(self.data)]
        self.process = subprocess.Popen(
            ["postgres", *places, "-c", "max_connections=200"],
            cwd=self.data,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self.owner,
        )
        ready = ["pg_isready", "--quiet", "--host=127.0.0.1", f"--port={self.port}"]
        wait_for(60, "Postgres", lambda: subprocess.run(ready, check=False).returncode == 0)

    def kill(self) -> None:
        """Kill it and every process of its own, as a machine that loses its power would."""
        assert self.process is not None
        below = psutil.Process(self.process.pid).children(recursive=True)
        for one in (self.process, *below):
            one.kill()
        psutil.wait_procs(below, timeout=60)
        self.process.wait()


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    if not shutil.which("postgres"):
        pytest.skip("needs Postgres on the PATH")
    with tempfile.TemporaryDirectory() as folder:  # whose parents another user may pass
        made = Postgres(Path(folder))
        made.start()
        yield made
        made.kill()


def test_a_database_that_is_killed_and_comes_back_costs_a_run_nothing(
    root: Path, tmp_path: Path, straight: dict[str, str], postgres: Postgres
) -> None:
    address = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": postgres.url}
    with pools(root, tmp_path, **address) as (on, env), worker(env):
        run = on.order("cookbook", profile="smoke")
        wait_for_training(on)
        postgres.kill()
        time.sleep(float(os.environ.get("COOKBOOK_TEST_OUTAGE_S", "20")))
        postgres.start()
        ended = on.ended(run, 1800)
    assert ended["state_type"] == "COMPLETED", ended["state"]["message"]
    assert "Promoted" in ended["state"]["message"]
    assert content_digests(on.store) == straight
