"""A file that takes hours to write is whole or absent, and nobody clears it under its writer."""

import errno
import fcntl
import os
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from tasks.core.store import long_writes
from tasks.core.store.long_writes import long_write, remove_abandoned


def test_it_appears_when_it_is_whole_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    with long_write(path, mode=0o600) as stream:
        stream.write("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["scores.jsonl"]


def test_an_error_leaves_the_old_content_and_no_half(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_text("old")
    stack = ExitStack()
    stack.enter_context(long_write(path, mode=0o600)).write("half")
    with pytest.raises(ZeroDivisionError), stack:
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["scores.jsonl"]


def test_what_is_being_written_stays_and_what_a_kill_left_goes(tmp_path: Path) -> None:
    left = tmp_path / f".other.jsonl.{os.getppid()}.tmp"
    left.write_text("half")
    with long_write(tmp_path / "scores.jsonl", mode=0o600) as stream:
        stream.write("whole")
        (own,) = tmp_path.glob(".scores*")
        assert remove_abandoned(tmp_path) == own
        assert not left.exists()
    assert (tmp_path / "scores.jsonl").read_text() == "whole"
    assert remove_abandoned(tmp_path) is None


def test_one_that_is_cleared_before_its_lock_came_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening and locking are two steps; a writer would else lose its hours at the last one."""
    opened, cleared = threading.Event(), threading.Event()

    class Locks:
        LOCK_EX, LOCK_NB = fcntl.LOCK_EX, fcntl.LOCK_NB

        def flock(self, descriptor: int, how: int) -> None:
            if how == fcntl.LOCK_EX and not opened.is_set():
                opened.set()
                assert cleared.wait(10)
            fcntl.flock(descriptor, how)

    monkeypatch.setattr(long_writes, "fcntl", Locks())

    def write() -> None:
        with long_write(tmp_path / "scores.jsonl", mode=0o600) as stream:
            stream.write("whole")

    writer = threading.Thread(target=write)
    writer.start()
    assert opened.wait(10)
    assert remove_abandoned(tmp_path) is None
    cleared.set()
    writer.join(10)
    assert (tmp_path / "scores.jsonl").read_text() == "whole"


def test_a_disk_without_locks_takes_files_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    with long_write(tmp_path / "scores.jsonl", mode=0o600) as stream:
        stream.write("whole")
    assert (tmp_path / "scores.jsonl").read_text() == "whole"
