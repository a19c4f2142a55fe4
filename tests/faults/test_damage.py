"""Damaged artifacts are found by hash and made again; a full disk loses nothing."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.smoke import content_digests, smoke_run

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]


def damage(path: Path, how: int) -> None:
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    path.write_bytes([content[: len(content) // 2], bytes(flipped), b""][how % 3])


def test_artifacts_cut_emptied_or_altered_are_made_again(
    root: Path,
    undisturbed: Path,
    straight: dict[str, str],
    server: dict[str, str],
    tmp_path: Path,
) -> None:
    store = tmp_path / "runs"
    shutil.copytree(undisturbed, store, symlinks=True)
    files = sorted(
        path
        for suffix in ("parquet", "safetensors", "json")
        for path in store.glob(f"artifacts/*/*/**/*.{suffix}")
        if path.stat().st_size
    )
    for number, path in enumerate(files[::3]):
        damage(path, number)
    done = smoke_run(root, store, **server)
    assert done.returncode == 0, done.stderr[-3000:]
    assert content_digests(store) == straight
    rebuilt = [line for line in done.stdout.splitlines() if line.startswith("+ ")]
    assert len(rebuilt) > 0


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


def test_a_full_disk_stops_the_run_loudly_and_room_lets_it_go_on(
    root: Path, straight: dict[str, str], server: dict[str, str], small_disk: Path
) -> None:
    store = small_disk / "runs"
    stopped = smoke_run(root, store, **server)
    assert stopped.returncode == 2, stopped.stderr[-2000:]
    assert "No space" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert not (store / "job_search" / "latest").exists()
    subprocess.run(["mount", "-o", "remount,size=512m", str(small_disk)], check=True)
    done = smoke_run(root, store, **server)
    assert done.returncode == 0, done.stderr[-3000:]
    assert content_digests(store) == straight
