"""The click log: one row for each document that a member was shown."""

import gzip
import re
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from tasks.core.domain.query_texts import QueryTexts
from tasks.core.domain.readers import GZIP_ERRORS, PARQUET_ERRORS
from tasks.core.errors import CookbookError

REQUIRED = (
    "impression_id",
    "query_id",
    "query",
    "member_id",
    "doc_id",
    "position",
    "shown_at_random",
    "clicked",
    "timestamp",
)
# Names that tables and reports use for something else.
_RESERVED = ("grade", "pair_id", "use", "weight")
_ACTION = re.compile(r"[a-z][a-z0-9_]{0,31}")


def read_impressions(path: Path) -> pa.Table:
    """The log as a table: text ids, whole positions, 0/1 flags, timestamps in UTC seconds.

    Every column beyond the required ones is a further action. Read by Arrow, not row by row:
    logs are long.

    Raises:
        CookbookError: a column is missing, or holds what it cannot, or a query_id has two texts.
    """
    table = _read(path)
    _check_columns(table, path)
    columns: dict[str, Any] = {name: _text(table, name, path) for name in REQUIRED[:5]}
    columns["position"] = _whole(table, "position", path, lowest=1, highest=100_000)
    for name in ("shown_at_random", "clicked", *actions_of(table)[1:]):
        columns[name] = _whole(table, name, path, lowest=0, highest=1)
    columns["timestamp"] = _seconds(table["timestamp"], path)
    read = pa.table(columns)
    add_queries(QueryTexts(), read, path)
    return read


def add_queries(texts: QueryTexts, table: pa.Table, path: Path) -> None:
    """Each query of a log once: of a million rows few are different ones.

    Raises:
        CookbookError: a query_id has two texts.
    """
    asked = table.group_by(["query_id", "query"], use_threads=False).aggregate([])
    columns = (asked[name].to_pylist() for name in ("query_id", "query"))
    for query_id, query in zip(*columns, strict=True):
        texts.add(query_id, query, str(path))


def actions_of(table: pa.Table) -> tuple[str, ...]:
    """Names of the actions in the log, ``clicked`` first."""
    further = [name for name in table.column_names if name not in REQUIRED]
    return ("clicked", *further)


def check_documents(table: pa.Table, doc_ids: Collection[str], path: Path) -> None:
    """Every document shown must be known.

    Raises:
        CookbookError: one is not.
    """
    unknown = set(pc.unique(table["doc_id"]).to_pylist()) - set(doc_ids)
    if unknown:
        raise CookbookError(
            f"{path}: each doc_id must be one of the documents; {len(unknown)} are not "
            f"(such as {min(unknown)!r}). Add them, or leave their rows out."
        )


def _read(path: Path) -> pa.Table:
    texts = {name: pa.string() for name in (*REQUIRED[:5], "timestamp")}
    try:
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            table.validate(full=True)  # Arrow decodes texts late, and those may not be UTF-8
            return table
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            options = pa_csv.ConvertOptions(column_types=texts)
            table = pa_csv.read_csv(stream, convert_options=options)
            # Arrow decodes the header late: a name that is not UTF-8 must fail here.
            return table.rename_columns(table.column_names)
    except (*PARQUET_ERRORS, *GZIP_ERRORS) as error:
        raise CookbookError(
            f"{path} must be CSV in UTF-8 with a header, or Parquet; it cannot be read ({error}). "
            "Write it again."
        ) from None


def _check_columns(table: pa.Table, path: Path) -> None:
    missing = [name for name in REQUIRED if name not in table.column_names]
    if missing:
        raise CookbookError(
            f"{path} needs the columns {', '.join(REQUIRED)}; {', '.join(missing)} is missing. "
            "Add it to the log's export."
        )
    repeated = {name for name in table.column_names if table.column_names.count(name) > 1}
    misnamed = [
        name for name in actions_of(table) if not _ACTION.fullmatch(name) or name in _RESERVED
    ]
    if repeated or misnamed:
        raise CookbookError(
            f"{path}: every column beyond the required ones is an action, named once, by small "
            f"letters, digits and underscores, and not {', '.join(_RESERVED)}; came "
            f"{sorted(repeated) or misnamed}. Rename or remove it."
        )
    if not table.num_rows:
        raise CookbookError(f"{path} has a header and no rows. Remove it, or export the log again.")


def _text(table: pa.Table, name: str, path: Path) -> Any:
    """An id or a query as text; ``member_id`` alone may be empty: nobody in particular."""
    values = table[name].cast(pa.string())
    if name == "member_id":
        return values.fill_null("")
    if values.null_count or pc.any(pc.equal(values, "")).as_py():
        raise CookbookError(
            f"{path}: {name} stands in every row; some rows have none. Correct the export."
        )
    return values


def _whole(table: pa.Table, name: str, path: Path, *, lowest: int, highest: int) -> Any:
    try:
        values = table[name].cast(pa.int32())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        values = None
    if values is None or values.null_count or not _within(values, lowest, highest):
        raise CookbookError(
            f"{path}: {name} holds whole numbers from {lowest} to {highest}, none missing; "
            "some rows hold something else. Correct the export."
        )
    return values


def _within(values: Any, lowest: int, highest: int) -> bool:
    bounds = pc.min_max(values).as_py()
    return bool(bounds["min"] >= lowest and bounds["max"] <= highest)


def _seconds(column: Any, path: Path) -> Any:
    """Seconds since 1970 of ISO 8601 texts in UTC."""
    try:
        stamps = [datetime.fromisoformat(text) for text in column.to_pylist()]
    except (TypeError, ValueError) as error:
        raise CookbookError(
            f"{path}: timestamp is ISO 8601 in UTC, such as 2026-01-31T08:00:00Z; came one that is "
            f"not ({error}). Correct the export."
        ) from None
    seconds = [
        (stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)).timestamp() for stamp in stamps
    ]
    return pa.array(np.array(seconds, dtype=np.float64))
