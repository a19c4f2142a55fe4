"""Which of a domain's own files hold a member: who forgets one must know where they come back."""

from collections.abc import Iterator
from pathlib import Path

from tasks.core.domain.readers import read_csv, read_json_lines

# Copies beside the files that a run reads, such as members-2025.jsonl, hold members too.
_NAMES = ("members*", "impressions*", "golden*", "queries*")
_TABLES, _LINES = (".csv", ".csv.gz"), (".jsonl", ".jsonl.gz", ".parquet")


def files_holding(golden: Path, member_id: str) -> list[Path]:
    """Files of a ``golden_data/DOMAIN`` folder with a row of the member, by name.

    Raises:
        CookbookError: a file cannot be read, so that nobody knows.
    """
    found = {path for name in _NAMES for path in golden.glob(name) if path.is_file()}
    return [path for path in sorted(found) if member_id in _members(path)]


def _members(path: Path) -> Iterator[str | None]:
    """The member of each row; None where it names none. A file of another kind has no rows."""
    if path.name.endswith(_TABLES):
        yield from (row.get("member_id") for _, row in read_csv(path, ()))
    elif path.name.endswith(_LINES):
        yield from (row.get("member_id") for _, row in read_json_lines(path))
