"""A kernel lock on a folder, so that a killed holder never leaves one behind; one run at a time."""

import fcntl
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tasks.core.errors import CookbookError

# From the file of a lock that is held to the sentence that refuses: what its holder wrote there.
Refusal = Callable[[bytes], str]


@contextmanager
def sole_holder(path: Path, holder: Mapping[str, object], refusal: Refusal) -> Iterator[None]:
    """Hold a lock file and say in it who does; the kernel frees it with the process.

    A folder that is made for it is its owner's alone, as what comes to lie in it may have to be.

    Raises:
        CookbookError: another process holds it, with the words of ``refusal``.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CookbookError(refusal(os.pread(descriptor, 4096, 0))) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def seen_holder(path: Path) -> bytes | None:
    """What the holder of a lock file wrote there; None where nobody holds it.

    The kernel's list is read and the lock left alone: who takes it, if only to look, refuses
    whoever starts at that moment. A system without such a list shows no holder.
    """
    try:
        inode, locks = path.stat().st_ino, Path("/proc/locks").read_text(encoding="ascii")
    except OSError:
        return None
    # 1: FLOCK  ADVISORY  WRITE 26654 fe:00:2296063 0 EOF
    held = (line.split() for line in locks.splitlines() if " FLOCK " in line)
    return path.read_bytes()[:4096] if any(_inode(words) == inode for words in held) else None


def _inode(words: list[str]) -> int | None:
    place = next((word for word in words if word.count(":") == 2), "")
    return int(place.rpartition(":")[2]) if place else None


@contextmanager
def run_lock(store: Path) -> Iterator[None]:
    """Hold the store for one run.

    Raises:
        CookbookError: another run holds it; the message names its process, host and start.
    """
    holder = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    # What is personal in a store closes its own folder; reports are for others to read.
    store.mkdir(parents=True, exist_ok=True)
    with sole_holder(store / "run.lock", holder, lambda raw: _held_message(store, raw)):
        yield


def _held_message(store: Path, raw: bytes) -> str:
    try:
        holder = json.loads(raw)
        who = f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        who = "a run that is just starting"
    return (
        f"The store {store} must be free, and {who} holds it. "
        "Wait for that run to end, or give this one another --store."
    )
