"""A run that trains in several processes: whatever ends it ends them, and the next goes on."""

import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.flows.smoke import content_digests, half_files, report_of, smoke_run, started_run

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]


def end_while_learning(
    kind: str, sent: signal.Signals, root: Path, store: Path, *, at: str, **more: str
) -> int:
    """Run, and send the signal when the role's scratch folder has a new file of this name."""
    began = time.time()
    run = started_run(root, store, **more)

    def is_there() -> bool:
        with suppress(FileNotFoundError):
            new = any(one.stat().st_mtime > began for one in store.glob(f"scratch/*/{at}"))
            return new and any((store / "artifacts" / kind).glob("*.building"))
        return False

    try:
        while not is_there():
            assert run.poll() is None, run.communicate()[1][-2000:]
            time.sleep(0.02)
        below = psutil.Process(run.pid).children(recursive=True)
        learning = [one for one in below if "spawn_main" in " ".join(one.cmdline())]
        assert learning
        run.send_signal(sent)
        run.communicate(timeout=60)
        assert not psutil.wait_procs(learning, timeout=10)[1]
        return int(run.returncode)
    finally:
        run.kill()


def test_whatever_ends_a_run_ends_its_processes_and_the_next_run_goes_on(
    root: Path, server: dict[str, str], tmp_path: Path
) -> None:
    two = {**server, "COOKBOOK_PROCESSES": "2", "COOKBOOK_SPLIT_WEIGHTS": "1"}
    undisturbed, store = tmp_path / "undisturbed", tmp_path / "store"
    done = smoke_run(root, undisturbed, **two)
    assert done.returncode == 0, done.stderr[-3000:]
    for kind, sent, at, code in (
        ("policy_teacher", signal.SIGKILL, "tokens.arrow", -9),
        # One process has begun, and waits for the other.
        ("policy_teacher", signal.SIGTERM, "processes/meeting", 143),
        ("click_teacher", signal.SIGTERM, "tokens.arrow", 143),
        ("click_teacher", signal.SIGINT, "processes/meeting", 130),
    ):
        assert end_while_learning(kind, sent, root, store, at=at, **two) == code, (kind, sent, at)
    assert half_files(store) == []
    done = smoke_run(root, store, **two)
    assert done.returncode == 0, done.stderr[-3000:]
    assert content_digests(store) == content_digests(undisturbed)


def test_a_store_goes_on_whatever_number_of_processes_made_it(
    undisturbed: Path, straight: dict[str, str], root: Path, server: dict[str, str], tmp_path: Path
) -> None:
    """What one process made, two take over whole; and what two make is what one makes, nearly."""
    two = {**server, "COOKBOOK_PROCESSES": "2"}
    for store in (undisturbed, tmp_path):
        done = smoke_run(root, store, **two)
        assert done.returncode == 0, done.stderr[-3000:]
    assert content_digests(undisturbed) == straight
    alone, together = (
        {tier["role"]: tier["golden"]["ndcg_at_10"] for tier in report_of(store)["tiers"]}
        for store in (undisturbed, tmp_path)
    )
    assert together == pytest.approx(alone, abs=0.02)
