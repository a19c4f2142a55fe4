"""One run at a time in a store."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.core.errors import CookbookError
from tasks.core.store.lock import run_lock, sole_holder

HOLD = (
    "import sys, time; from pathlib import Path; from tasks.core.store.lock import run_lock\n"
    "with run_lock(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)\n"
)


def hold(store: Path) -> "subprocess.Popen[str]":
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def named_holder(store: Path) -> int:
    """The process that the lock's file names."""
    return int(json.loads((store / "run.lock").read_text())["pid"])


def is_held(store: Path) -> bool:
    """Whether the kernel refuses the lock to another opening of its file."""
    with (store / "run.lock").open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_the_second_run_is_told_who_holds_the_store(tmp_path: Path) -> None:
    holder = hold(tmp_path)
    try:
        expected = f"process {holder.pid} on .* since 20"
        with pytest.raises(CookbookError, match=expected), run_lock(tmp_path):
            pass
    finally:
        holder.kill()
        holder.communicate()


def test_a_killed_run_leaves_no_lock(tmp_path: Path) -> None:
    holder = hold(tmp_path)
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    with run_lock(tmp_path):
        assert named_holder(tmp_path) == os.getpid()


def test_a_run_that_ends_frees_the_store(tmp_path: Path) -> None:
    for _ in range(2):
        with run_lock(tmp_path):
            assert named_holder(tmp_path) == os.getpid()
        assert not is_held(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"pid": 1}'])
def test_an_unreadable_holder_is_still_a_holder(tmp_path: Path, content: bytes) -> None:
    with run_lock(tmp_path):
        (tmp_path / "run.lock").write_bytes(content)
        expected = "a run that is just starting"
        with pytest.raises(CookbookError, match=expected), run_lock(tmp_path):
            pass


def test_stores_do_not_lock_each_other(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    with run_lock(one):
        with run_lock(two):
            assert is_held(one) and is_held(two)
        assert is_held(one) and not is_held(two)


def test_a_folder_made_for_a_lock_is_its_owners_and_a_store_is_not(tmp_path: Path) -> None:
    """Prefect's home holds its database: Prefect would have made it so, but comes second."""
    before = os.umask(0o022)
    try:
        with sole_holder(tmp_path / "home" / "lock", {}, str), run_lock(tmp_path / "runs"):
            modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("home", "runs")]
    finally:
        os.umask(before)
    assert modes == [0o700, 0o755]
