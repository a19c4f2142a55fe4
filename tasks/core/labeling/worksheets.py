"""Golden data as CSV that a product manager opens in a spreadsheet, and gets back unharmed."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tasks.core.domain.readers import read_csv
from tasks.core.store.files import write_atomically

# A spreadsheet takes a cell that begins so for a formula, which may fetch or run something.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_SHIELD = "'"


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write rows with these columns, UTF-8, safe against formula injection, atomically.

    A cell that a spreadsheet would compute gets an apostrophe in front, which spreadsheets hide
    and ``read_worksheet`` takes off again.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([shield(_text(row.get(name))) for name in columns])
    write_atomically(path, out.getvalue().encode())


def read_worksheet(path: Path, required: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """(line number, row) with the apostrophes of ``write_csv`` taken off, spaces stripped."""
    return [
        (number, {name: unshield(value).strip() for name, value in row.items()})
        for number, row in read_csv(path, required)
    ]


def shield(cell: str) -> str:
    """``=1+1`` becomes ``'=1+1``; so does what already looks shielded, to come back as it was."""
    bare = cell.lstrip(_SHIELD)
    return _SHIELD + cell if bare.startswith(_FORMULA) else cell


def unshield(cell: str) -> str:
    """The inverse of ``shield``."""
    bare = cell.lstrip(_SHIELD)
    return cell[1:] if cell.startswith(_SHIELD) and bare.startswith(_FORMULA) else cell


def _text(value: object) -> str:
    return "" if value is None else str(value)
