"""A file system of a test's own that another program fills, and that can grow."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(folder: Path) -> Iterator[Path]:
    """A file system of 1 MB at a new folder; the test is skipped where none can be mounted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("NO SMALL DISK: mounting a tmpfs needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def grow(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=512m", str(disk)], check=True)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Every free byte is taken, as by another program, while the block runs."""
    filler = disk / "filler"
    with filler.open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, shutil.disk_usage(disk).free)
    yield
    filler.unlink()


def names_the_full_disk(error: str) -> bool:
    """In one sentence; the payment journal has its own, which says what of the money is lost."""
    return error.startswith("cookbook: ") and "no space" in error.lower() and error.count("\n") == 1
