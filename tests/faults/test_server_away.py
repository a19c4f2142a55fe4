"""Prefect's server dies under a run: the store knows what is done, and a run goes on."""

import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from flows.local_server import check_server
from tests.flows.smoke import PROJECT, content_digests, environment, smoke_run, started_run

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]


@contextmanager
def serving(home: Path, port: int, **more: str) -> "Iterator[subprocess.Popen[bytes]]":
    """Prefect's API on a port, with its database in ``home``; ``more`` goes to its environment."""
    with socket.create_server(("127.0.0.1", port)) as listening:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.server_process", str(listening.fileno())],
            stdin=subprocess.PIPE,
            pass_fds=[listening.fileno()],
            env=environment(home, **more),
            cwd=PROJECT,
        )
    try:
        check_server(f"http://127.0.0.1:{port}/api")
        yield process
    finally:
        process.kill()
        process.communicate()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def wait_for_stage(store: Path, kind: str, run: "subprocess.Popen[str]") -> None:
    while run.poll() is None and not any((store / "artifacts" / kind).glob("*")):
        time.sleep(0.05)


def test_a_server_that_dies_and_comes_back_costs_nothing(
    root: Path, straight: dict[str, str], tmp_path: Path
) -> None:
    store, port = tmp_path / "runs", free_port()
    address = {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    with serving(tmp_path / "prefect", port):
        run = started_run(root, store, **address)
        wait_for_stage(store, "policy_teacher", run)
    time.sleep(float(os.environ.get("COOKBOOK_TEST_OUTAGE_S", "20")))
    with serving(tmp_path / "prefect", port):
        _, error = run.communicate()
    assert run.returncode == 0, error[-3000:]
    assert content_digests(store) == straight


def test_a_server_that_stays_away_is_one_line_and_nothing_finished_is_lost(
    root: Path, straight: dict[str, str], tmp_path: Path
) -> None:
    store, port = tmp_path / "runs", free_port()
    with serving(tmp_path / "prefect", port):
        address = {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
        run = started_run(root, store, **address, PREFECT_CLIENT_MAX_RETRIES="2")
        wait_for_stage(store, "policy_teacher", run)
    _, error = run.communicate()
    assert run.returncode == 2, error[-3000:]
    # Prefect warns in its own words that it cannot reach the server; ours is the last line.
    assert error.splitlines()[-1].startswith("cookbook: Prefect's server must answer")
    assert "Traceback" not in error
    done = smoke_run(root, store)
    assert done.returncode == 0, done.stderr[-3000:]
    assert content_digests(store) == straight


def test_a_database_that_another_program_holds_for_a_while_costs_nothing(
    root: Path, straight: dict[str, str], tmp_path: Path
) -> None:
    """Longer than SQLite's own patience of seconds; writers wait for it, and readers do not."""
    store, port, home = tmp_path / "runs", free_port(), tmp_path / "prefect"
    address = {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    with serving(home, port):
        run = started_run(root, store, **address)
        wait_for_stage(store, "policy_teacher", run)
        assert run.poll() is None
        with closing(
            sqlite3.connect(home / "prefect.db", isolation_level=None, timeout=60)
        ) as held:
            held.execute("BEGIN EXCLUSIVE")
            time.sleep(float(os.environ.get("COOKBOOK_TEST_LOCK_S", "20")))
            held.execute("ROLLBACK")
        _, error = run.communicate()
        lines = error.splitlines() or [""]
        told = lines[-1].startswith("cookbook: Prefect's server must answer")
        assert run.returncode == 0 or (run.returncode == 2 and told), error[-3000:]
        assert "Traceback" not in error
        done = smoke_run(root, store, **address)
    assert done.returncode == 0, done.stderr[-3000:]
    assert content_digests(store) == straight


def test_of_two_runs_started_together_one_works_and_the_other_is_told_of_it(
    root: Path, straight: dict[str, str], server: dict[str, str], tmp_path: Path
) -> None:
    runs = [started_run(root, tmp_path, **server) for _ in range(2)]
    outcomes = [(run.communicate()[1], run.returncode) for run in runs]
    assert sorted(code for _, code in outcomes) == [0, 2]
    (told,) = (error for error, code in outcomes if code == 2)
    assert "must be free, and process" in told
    assert content_digests(tmp_path) == straight
