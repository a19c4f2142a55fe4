"""Which of a domain's own files hold a member: who forgets one must know where they come back."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.core.domain.readers import read_csv, read_json_lines
from tasks.core.errors import CookbookError
from tasks.core.text import pair_id

# Copies beside the files that a run reads, such as members-2025.jsonl, hold members too.
_NAMES = ("members*", "impressions*", "golden*", "queries*")
_TABLES, _LINES = (".csv", ".csv.gz"), (".jsonl", ".jsonl.gz", ".parquet")

Say = Callable[[str], None]


def files_holding(golden: Path, member_id: str, say: Say) -> list[Path]:
    """Files of a ``golden_data/DOMAIN`` folder with a row of the member, by name.

    Copies in folders below it are among them. ``say`` hears of a file that cannot be read: it may
    hold the member.
    """
    return [
        path
        for path in _named(golden, _NAMES)
        if any(_text(row.get("member_id")) == member_id for row in _rows(path, say))
    ]


def possible_pairs(golden: Path, member_id: str, say: Say) -> set[str]:
    """Ids of the pairs that the member's queries in these files can have: each with each document.

    More than were ever made, and so also those that no artifact holds any more. ``say`` hears of
    a file of documents that cannot be read; ``files_holding`` tells of the others.
    """
    queries = {
        _text(row["query_id"])
        for path in _named(golden, _NAMES)
        for row in _rows(path, _nothing)
        if _text(row.get("member_id")) == member_id and _text(row.get("query_id"))
    }
    if not queries:
        return set()
    documents = {
        _text(row["doc_id"])
        for path in _named(golden, ("documents*",))
        for row in _rows(path, say)
        if _text(row.get("doc_id"))
    }
    return {pair_id(query, member_id, document) for query in queries for document in documents}


def _named(golden: Path, names: tuple[str, ...]) -> list[Path]:
    """Files that bear one of the names themselves, or lie in a folder that does."""
    return sorted(
        path
        for path in golden.rglob("*")
        if path.is_file()
        and any(fnmatch(part, name) for part in path.relative_to(golden).parts for name in names)
    )


def _rows(path: Path, say: Say) -> Iterator[Mapping[str, Any]]:
    """The file's rows, as far as it can be read; a file of another kind has none."""
    try:
        if path.name.endswith(_TABLES):
            yield from (row for _, row in read_csv(path, ()))
        elif path.name.endswith(_LINES):
            yield from (row for _, row in read_json_lines(path))
    except (CookbookError, OSError) as error:
        say(f"{path} cannot be read to its end, and may hold the member: {error}")


def _text(value: Any) -> str:
    """An id as a run reads it: in a log it may be a number, in a CSV stand between spaces."""
    if value is None:
        return ""
    if not isinstance(value, str):
        # A log's whole numbers are floats where some rows name nobody: 17.0 is member 17.
        with suppress(pa.ArrowException, UnicodeDecodeError):
            value = pa.scalar(value).cast(pa.string()).as_py()
    return str(value).strip()


def _nothing(_: str) -> None:
    pass
