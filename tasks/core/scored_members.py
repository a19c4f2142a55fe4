"""Taking a member out of the files of a scoring folder: pairs that came, scores that were given."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from tasks.core.errors import CookbookError
from tasks.core.store.files import write_parts
from tasks.core.store.long_writes import remove_abandoned


def clear_half_scores(folder: Path) -> None:
    """Remove scores that a kill left half-written.

    Scoring needs no hold of the store, and what it writes at this moment may name the member.

    Raises:
        CookbookError: a process is writing scores.
    """
    if path := remove_abandoned(folder):
        raise CookbookError(
            f"Nothing may be scored while a member is forgotten, and process "
            f"{path.name.split('.')[-2]} writes {path.name} in {folder}. Give the command again "
            "when it has ended."
        )


def forget_lines(folder: Path, member_id: str) -> int:
    """Take the member's lines out of the folder's files; returns how many there were.

    Whatever is no JSON object in UTF-8 is somebody's own, no score was ever given to it, and it
    stays byte by byte.
    """
    return sum(_forget_lines(path, member_id) for path in sorted(folder.glob("*.jsonl")))


def _forget_lines(path: Path, member_id: str) -> int:
    # Bytes end by line feeds alone: texts may hold what else Unicode ends a line with.
    with path.open("rb") as lines:
        removed = sum(_names(line, member_id) for line in lines)
        if removed:
            lines.seek(0)
            write_parts(path, _others(lines, member_id), mode=0o600)
    return removed


def _others(lines: Iterable[bytes], member_id: str) -> Iterator[bytes]:
    return (line for line in lines if not _names(line, member_id))


def _names(line: bytes, member_id: str) -> bool:
    try:
        row = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and row.get("member_id") == member_id
