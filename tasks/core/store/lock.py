"""One run at a time in a store: a kernel lock, so that a killed run never leaves one behind."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tasks.core.errors import CookbookError


@contextmanager
def run_lock(store: Path) -> Iterator[None]:
    """Hold the store for one run.

    Raises:
        CookbookError: another run holds it; the message names its process, host and start.
    """
    store.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(store / "run.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CookbookError(_held_message(store, os.pread(descriptor, 4096, 0))) from None
        holder = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        yield
    finally:
        os.close(descriptor)


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
