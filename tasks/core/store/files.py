"""Files that are whole or absent: written beside, flushed to the disk, renamed."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tasks.core.store.faults import fault_point


def file_sha256(path: Path) -> str:
    """Hex sha256 of the file's bytes, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces; NaN is refused, since it has no JSON form."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_of(value: Any) -> str:
    """Hex sha256 of a JSON value's canonical form."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def write_atomically(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace ``path`` in one step: a reader sees the old content or the new, never a half."""
    write_parts(path, [content], mode=mode)


def write_parts(path: Path, parts: Iterable[bytes], *, mode: int = 0o644) -> None:
    """Like ``write_atomically``, of content that comes in parts and never stands in memory."""
    sibling = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(sibling, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.writelines(parts)
            stream.flush()
            os.fsync(stream.fileno())
        fault_point("before_rename")
        sibling.replace(path)
    except BaseException:
        sibling.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_json(path: Path, value: Mapping[str, Any], *, mode: int = 0o644) -> None:
    """Write readable JSON atomically."""
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    write_atomically(path, (text + "\n").encode(), mode=mode)


def remove_half_files(folder: Path) -> None:
    """Remove what ``write_atomically`` was killed over; only for who alone writes the folder."""
    for path in folder.glob(".*.tmp"):
        path.unlink()


def rename_durably(written: Path, path: Path) -> None:
    """Give a finished file its name: its bytes reach the disk before the name does.

    A rename alone may outlive a power cut that the bytes do not, and leave an empty file.
    """
    with written.open("rb") as stream:
        os.fsync(stream.fileno())
    written.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the folder's entries durable; a rename is not, until its folder is synced."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Make every file below the folder durable, then the folders."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
    for path in [*sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True), folder]:
        sync_folder(path)
