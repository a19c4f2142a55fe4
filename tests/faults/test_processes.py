"""A run that trains in several processes: whatever ends it ends them, and the next goes on."""

import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.flows.smoke import content_digests, half_files, report_of, smoke_run, started_run

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]


def end_while_learning(
    kind: str, sent: signal.Signals, root: Path, store: Path, **more: str
) -> int:
    """Run, and send the signal when the role's processes have met."""
    run = started_run(root, store, **more)
    building = (store / "artifacts" / kind).glob
    while not (any(building("*.building")) and any(store.glob("scratch/*/processes/meeting"))):
        assert run.poll() is None, run.communicate()[1][-2000:]
        time.sleep(0.02)
    time.sleep(1.0)
    below = psutil.Process(run.pid).children(recursive=True)
    learning = [one for one in below if "spawn_main" in " ".join(one.cmdline())]
    assert len(learning) == 2
    run.send_signal(sent)
    run.communicate(timeout=60)
    assert not psutil.wait_procs(learning, timeout=10)[1]
    return int(run.returncode)


def test_whatever_ends_a_run_ends_its_processes_and_the_next_run_goes_on(
    root: Path, server: dict[str, str], tmp_path: Path
) -> None:
    two = {**server, "COOKBOOK_PROCESSES": "2", "COOKBOOK_SPLIT_WEIGHTS": "1"}
    undisturbed, store = tmp_path / "undisturbed", tmp_path / "store"
    done = smoke_run(root, undisturbed, **two)
    assert done.returncode == 0, done.stderr[-3000:]
    assert end_while_learning("policy_teacher", signal.SIGKILL, root, store, **two) == -9
    assert end_while_learning("click_teacher", signal.SIGTERM, root, store, **two) == 143
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
