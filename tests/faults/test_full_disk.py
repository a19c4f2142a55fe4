"""A disk that fills at any writer stops the run loudly, loses nothing, and room lets it go on."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.faults.test_kills import stages
from tests.flows.smoke import content_digests, half_files, smoke_run, started_run

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB, which grows when told to."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("NO SMALL DISK: mounting a tmpfs needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def grow(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=512m", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Take all free bytes, as another program would."""
    filler = disk / "filler"
    with filler.open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, shutil.disk_usage(disk).free)
    return filler


def run_into_full_disk(
    point: str, root: Path, disk: Path, server: dict[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Hold a run at a point, fill its disk, and let it go on; the room is given back at the end."""
    armed = {"COOKBOOK_FAULT": point, "COOKBOOK_FAULT_SIGNAL": signal.SIGSTOP.name}
    run = started_run(root, disk / "runs", **server, **armed)
    process = psutil.Process(run.pid)
    while run.poll() is None and process.status() != psutil.STATUS_STOPPED:
        time.sleep(0.05)
    filler = fill(disk)
    if run.poll() is None:
        run.send_signal(signal.SIGCONT)
    out, error = run.communicate()
    filler.unlink()
    return subprocess.CompletedProcess(run.args, run.returncode, out, error)


def names_the_full_disk(error: str) -> bool:
    """In one sentence; the payment journal has its own, which says what of the money is lost."""
    return error.startswith("cookbook: ") and "no space" in error.lower()


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
        assert stopped.stderr.count("\n") == 1, kind
        assert not any((store / "artifacts" / kind).glob("*/manifest.json")), kind
        assert not (store / "job_search" / "latest").exists()
        assert half_files(store) == [], kind
    done = smoke_run(root, store, **server)
    assert done.returncode == 0, done.stderr[-3000:]
    assert content_digests(store) == straight


@pytest.mark.parametrize(
    "point",
    ["training:step:3", "label_after_reply:5", "registry_after_register", "soft_labels:shard"],
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
