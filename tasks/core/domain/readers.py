"""Rows of the files a user brings: CSV, JSON lines or Parquet, plain or gzipped, UTF-8.

Every error names the file, the line, what was expected and what to do.
"""

import csv
import gzip
import json
import math
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa

from tasks.core.domain.formulas import unshield
from tasks.core.errors import CookbookError
from tasks.core.tables import Row, iterate_rows

# One field of a profile or a posting; more is a broken file or an attack on the memory.
MAX_LINE_CHARACTERS = 2_000_000
# A gzip file may unpack to a thousand times its size. Logs and catalogs, which repeat themselves,
# unpack to 5 to 30 times; small files may repeat what they like.
MAX_EXPANSION, FREE_CHARACTERS = 200, 64 * 2**20
# What Python raises on a gzip file that is cut off, none at all, or damaged inside.
GZIP_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)
# What Arrow raises on a Parquet file that is none, whose footer or pages are damaged, or whose
# texts are not UTF-8.
PARQUET_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError)


def read_csv(path: Path, required: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, row) of a CSV file with a header that has the required columns.

    The apostrophe that ``write_csv`` puts before what a spreadsheet would compute is taken off.
    """
    with _open(path) as stream:
        lines = _decoded(stream, path)
        reader = csv.DictReader(lines, strict=True)
        header = _header(reader, path)
        missing = [name for name in required if name not in header]
        if missing:
            raise CookbookError(
                f"{path} needs the columns {', '.join(required)}; {', '.join(missing)} is missing "
                f"(it has {', '.join(header) or 'no header'}). Add it, with commas between columns."
            )
        yield from _csv_rows(reader, len(header), path)


def _header(reader: "csv.DictReader[str]", path: Path) -> list[str]:
    try:
        header = [name.strip() for name in reader.fieldnames or []]
    except csv.Error as error:
        raise _broken_csv(path, reader.reader.line_num, error) from None
    repeated = {name for name in header if header.count(name) > 1}
    if repeated:
        raise CookbookError(
            f"Each column of {path} has a name of its own; {', '.join(sorted(repeated))} "
            "stands twice. Rename one."
        )
    reader.fieldnames = header
    return header


def _csv_rows(
    reader: "csv.DictReader[str]", width: int, path: Path
) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        for row in reader:
            values = [value for value in row.values() if isinstance(value, str)]
            if None in row or len(values) != width:
                raise CookbookError(
                    f"{path}, line {reader.line_num}: a row has {width} values; this one has "
                    "more or fewer. Quote values that hold a comma."
                )
            yield reader.line_num, {name: unshield(value) for name, value in row.items()}
    except csv.Error as error:
        raise _broken_csv(path, reader.reader.line_num, error) from None


def _broken_csv(path: Path, line: int, error: csv.Error) -> CookbookError:
    return CookbookError(
        f"{path}, line {line}: rows are CSV with double quotes; came one that is not ({error}). "
        "Mend that line."
    )


def read_json_lines(path: Path) -> Iterator[tuple[int, Row]]:
    """(line number, object) of a file with one JSON object a line, or of a Parquet table."""
    if path.suffix == ".parquet":
        yield from _parquet_rows(path)
        return
    with _open(path) as stream:
        for number, line in enumerate(_decoded(stream, path), start=1):
            if line.strip():
                yield number, parse_json_line(line, f"{path}, line {number}")


def _parquet_rows(path: Path) -> Iterator[tuple[int, Row]]:
    try:
        yield from enumerate(iterate_rows(path), start=1)
    except PARQUET_ERRORS as error:
        raise CookbookError(
            f"{path} must be a Parquet table; it cannot be read ({error}). Write it again."
        ) from None


def parse_json_line(line: str, where: str) -> Row:
    """One JSON object; duplicate keys, numbers that are not finite and half characters are refused.

    Raises:
        CookbookError: the line is no such object.
    """
    try:
        value = json.loads(
            line, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_unique
        )
        if "\\u" in line:
            # Half of a surrogate pair parses, and fails only once it is hashed or written.
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise CookbookError(
            f"{where}: a line holds one JSON object; came one that does not parse ({error}). "
            "Mend or remove that line."
        ) from None
    if not isinstance(value, dict):
        raise CookbookError(f"{where}: a line holds one JSON object; came {type(value).__name__}.")
    return value


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is larger than any number")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice")
    return result


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open("r", encoding="utf-8-sig", newline="")


def _decoded(stream: TextIO, path: Path) -> Iterator[str]:
    number, characters = 0, 0
    most = max(FREE_CHARACTERS, MAX_EXPANSION * path.stat().st_size)
    try:
        while line := stream.readline(MAX_LINE_CHARACTERS):
            number, characters = number + 1, characters + len(line)
            if characters > most:
                raise CookbookError(
                    f"{path} must unpack to at most {MAX_EXPANSION} times its size; at line "
                    f"{number} it has more, as a file made to fill a disk does. Unpack it and see "
                    "what it holds: a plain file may be of any size."
                )
            if len(line) == MAX_LINE_CHARACTERS or "\0" in line:
                raise CookbookError(
                    f"{path}, line {number}: a line has at most {MAX_LINE_CHARACTERS:,} characters "
                    "and no NUL; this one breaks that. Shorten or mend it."
                )
            yield line
    except UnicodeDecodeError as error:
        raise CookbookError(
            f"{path} must be UTF-8 text; after line {number} comes a byte that is not "
            f"({error.reason}). Save the file as UTF-8."
        ) from None
    except GZIP_ERRORS as error:
        raise CookbookError(
            f"{path} must be a whole gzip file; after line {number}: {error}. Write it again."
        ) from None
