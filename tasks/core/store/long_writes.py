"""Files that take hours to write: a kernel lock says that somebody still does.

A process number in the name would not: after a reboot, and in every container, it is soon
another process's.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from tasks.core.store.files import sync_folder


@contextmanager
def long_write(path: Path, *, mode: int) -> Iterator[TextIO]:
    """A text stream into ``path``, which appears when the block ends and is then on the disk.

    Until then it is written beside; a block that ends by an error leaves the old content.
    """
    sibling = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = _held(sibling, mode)
    # Held until it has its name: whoever clears the folder takes what nobody holds.
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        try:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            sibling.replace(path)
            sync_folder(path.parent)
        finally:
            sibling.unlink(missing_ok=True)


def remove_abandoned(folder: Path) -> Path | None:
    """Remove what killed writers left half-written; returns a file that is being written, if any.

    That one stays, and so may others behind it.
    """
    for path in sorted(folder.glob(".*.tmp")):
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
        except BlockingIOError:
            return path
        finally:
            os.close(descriptor)
    return None


def _held(path: Path, mode: int) -> int:
    """The file, empty and locked; one that was removed before the lock came is made again."""
    while True:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, mode)
        with suppress(OSError):  # a store's disk has locks; that of another output may have none
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            if os.path.samestat(path.stat(), os.fstat(descriptor)):
                os.ftruncate(descriptor, 0)
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)
