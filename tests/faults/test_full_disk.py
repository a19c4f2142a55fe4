"""A disk that fills at any writer stops the run loudly, loses nothing, and room lets it go on."""

import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.faults.small_disk import filled, grow, names_the_full_disk
from tests.faults.test_kills import stages
from tests.flows.smoke import content_digests, half_files, smoke_run, started_run

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]


def run_into_full_disk(
    point: str, root: Path, disk: Path, server: dict[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Hold a run at a point, fill its disk, and let it go on; the room is given back at the end."""
    armed = {"COOKBOOK_FAULT": point, "COOKBOOK_FAULT_SIGNAL": signal.SIGSTOP.name}
    run = started_run(root, disk / "runs", **server, **armed)
    process = psutil.Process(run.pid)
    while run.poll() is None and process.status() != psutil.STATUS_STOPPED:
        time.sleep(0.05)
    with filled(disk):
        if run.poll() is None:
            run.send_signal(signal.SIGCONT)
        out, error = run.communicate()
    return subprocess.CompletedProcess(run.args, run.returncode, out, error)


def test_a_disk_too_small_for_the_plan_is_refused_before_anything_is_written(
    root: Path, server: dict[str, str], small_disk: Path
) -> None:
    stopped = smoke_run(root, small_disk / "runs", **server)
    assert stopped.returncode == 2, stopped.stderr[-2000:]
    assert stopped.stderr.startswith("cookbook: This run needs about ")
    assert stopped.stderr.count("\n") == 1
    assert not (small_disk / "runs").exists()


def test_a_disk_that_fills_at_any_stage_stops_the_run_loudly(
    root: Path,
    undisturbed: Path,
    straight: dict[str, str],
    server: dict[str, str],
    small_disk: Path,
) -> None:
    grow(small_disk)
    store = small_disk / "runs"
    for kind in stages(undisturbed):
        stopped = run_into_full_disk(f"{kind}:before_build", root, small_disk, server)
        assert stopped.returncode == 2, (kind, stopped.stderr[-2000:])
        assert names_the_full_disk(stopped.stderr), (kind, stopped.stderr)
        assert not any((store / "artifacts" / kind).glob("*/manifest.json")), kind
        assert not (store / "job_search" / "latest").exists()
        assert half_files(store) == [], kind
    done = smoke_run(root, store, **server)
    assert done.returncode == 0, done.stderr[-3000:]
    assert content_digests(store) == straight


@pytest.mark.parametrize(
    "point",
    [
        "training:step:3",
        "label_after_reply:5",
        "soft_labels:shard",
        "effects:shard",
        "registry_after_register",
    ],
)
def test_a_disk_that_fills_inside_a_stage_stops_the_run_loudly(
    point: str, root: Path, straight: dict[str, str], server: dict[str, str], small_disk: Path
) -> None:
    grow(small_disk)
    stopped = run_into_full_disk(point, root, small_disk, server)
    assert stopped.returncode == 2, stopped.stderr[-2000:]
    assert names_the_full_disk(stopped.stderr), stopped.stderr
    done = smoke_run(root, small_disk / "runs", **server)
    assert done.returncode == 0, done.stderr[-3000:]
    assert content_digests(small_disk / "runs") == straight
