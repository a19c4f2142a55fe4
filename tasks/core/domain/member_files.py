"""Which of a domain's own files hold a member: who forgets one must know where they come back."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.core.domain.readers import read_csv, read_json_lines
from tasks.core.text import pair_id

# Copies beside the files that a run reads, such as members-2025.jsonl, hold members too.
_NAMES = ("members*", "impressions*", "golden*", "queries*")
_TABLES, _LINES = (".csv", ".csv.gz"), (".jsonl", ".jsonl.gz", ".parquet")


def files_holding(golden: Path, member_id: str) -> list[Path]:
    """Files of a ``golden_data/DOMAIN`` folder with a row of the member, by name.

    Raises:
        CookbookError: a file cannot be read, so that nobody knows.
    """
    found = {path for name in _NAMES for path in golden.glob(name) if path.is_file()}
    return [
        path
        for path in sorted(found)
        if any(row.get("member_id") == member_id for row in _rows(path))
    ]


def possible_pairs(golden: Path, member_id: str) -> set[str]:
    """Ids of the pairs that the member's queries in these files can have: each with each document.

    More than were ever made, and so also those that no artifact holds any more.
    """
    queries = {
        str(row["query_id"])
        for path in files_holding(golden, member_id)
        for row in _rows(path)
        if row.get("member_id") == member_id and row.get("query_id")
    }
    if not queries:
        return set()
    documents = {str(row["doc_id"]) for path in golden.glob("documents*") for row in _rows(path)}
    return {pair_id(query, member_id, document) for query in queries for document in documents}


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """The file's rows; a file of another kind has none."""
    if path.name.endswith(_TABLES):
        yield from (row for _, row in read_csv(path, ()))
    elif path.name.endswith(_LINES):
        yield from (row for _, row in read_json_lines(path))
