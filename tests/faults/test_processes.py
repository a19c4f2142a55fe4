"""A run that trains in several processes: whatever ends it ends them, and the next goes on."""

import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.flows.smoke import content_digests, half_files, report_of, smoke_run, started_run

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]


def end_while_learning(
    kind: str, sent: signal.Signals, root: Path, store: Path, **more: str
) -> int:
    """Run, and send the signal once the role's processes have made a checkpoint."""
    run = started_run(root, store, **more)
    process, waits = psutil.Process(run.pid), True
    while waits:
        assert run.poll() is None, run.communicate()[1][-2000:]
        scratch = store / "scratch" / kind
        waits = not [*scratch.rglob("step-*/complete.json"), *scratch.rglob("processes/end")]
        time.sleep(0.01)
    below = process.children(recursive=True)
    learning = [one for one in below if "spawn_main" in " ".join(one.cmdline())]
    assert len(learning) >= 2
    process.send_signal(sent)
    with suppress(subprocess.TimeoutExpired):
        run.communicate(timeout=60)
    assert not psutil.wait_procs(learning, timeout=10)[1]
    return int(run.returncode)


@pytest.mark.parametrize("split", ["0", "1"])
def test_whatever_ends_a_run_ends_its_processes_and_the_next_run_goes_on(
    split: str, root: Path, server: dict[str, str], tmp_path: Path
) -> None:
    two = {**server, "COOKBOOK_PROCESSES": "2", "COOKBOOK_SPLIT_WEIGHTS": split}
    undisturbed, store = tmp_path / "undisturbed", tmp_path / "store"
    done = smoke_run(root, undisturbed, **two)
    assert done.returncode == 0, done.stderr[-3000:]
    assert end_while_learning("policy_teacher", signal.SIGKILL, root, store, **two) == -9
    assert end_while_learning("student", signal.SIGTERM, root, store, **two) == 143
    assert half_files(store) == []
    done = smoke_run(root, store, **two)
    assert done.returncode == 0, done.stderr[-3000:]
    assert content_digests(store) == content_digests(undisturbed)


def test_a_store_goes_on_whatever_number_of_processes_made_it(
    undisturbed: Path, root: Path, server: dict[str, str], tmp_path: Path
) -> None:
    """What one process made, two take over whole; and what two make is what one makes, nearly."""
    before = content_digests(undisturbed)
    two = {**server, "COOKBOOK_PROCESSES": "2"}
    done = smoke_run(root, undisturbed, **two)
    assert done.returncode == 0, done.stderr[-3000:]
    assert content_digests(undisturbed) == before
    assert smoke_run(root, tmp_path, **two).returncode == 0
    alone, together = (
        {tier["role"]: tier["golden"]["ndcg_at_10"] for tier in report_of(store)["tiers"]}
        for store in (undisturbed, tmp_path)
    )
    assert together == pytest.approx(alone, abs=0.02)
