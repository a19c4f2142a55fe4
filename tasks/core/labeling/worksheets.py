"""Golden data as CSV that a product manager opens in a spreadsheet, and gets back unharmed."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tasks.core.domain.formulas import shield
from tasks.core.domain.readers import read_csv
from tasks.core.errors import CookbookError
from tasks.core.store.files import write_atomically

# Modes: a sheet that shows what members wrote is its owner's alone.
PRIVATE, PUBLIC = 0o600, 0o644


def write_csv(
    path: Path,
    columns: Sequence[str],
    rows: Iterable[Mapping[str, object]],
    *,
    mode: int = PUBLIC,
) -> None:
    """Write rows with these columns, UTF-8, safe against formula injection, atomically.

    A cell that a spreadsheet would compute gets an apostrophe in front, which spreadsheets hide
    and ``read_csv`` takes off again.

    Raises:
        CookbookError: the file cannot be written.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([shield(_text(row.get(name))) for name in columns])
    try:
        write_atomically(path, out.getvalue().encode(), mode=mode)
    except OSError as error:
        raise CookbookError(
            f"{path} cannot be written ({error.strerror}); name a file in a folder that is there."
        ) from None


def read_worksheet(path: Path, required: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """(line number, row) without the spaces around values.

    Raises:
        CookbookError: the file cannot be read, or is no such sheet.
    """
    try:
        return [
            (number, {name: value.strip() for name, value in row.items()})
            for number, row in read_csv(path, required)
        ]
    except OSError as error:
        raise CookbookError(
            f"Expected a worksheet at {path}, which cannot be read ({error.strerror}); mend the "
            "name."
        ) from None


def _text(value: object) -> str:
    return "" if value is None else str(value)
