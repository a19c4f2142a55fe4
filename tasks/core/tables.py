"""Tables on disk: Parquet with the same bytes for the same rows, read by memory map."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Row = dict[str, Any]
Columns = Mapping[str, Any]


def write_table(path: Path, columns: Columns) -> int:
    """Write columns of equal length (lists or arrays); return the number of rows."""
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    pq.write_table(table, path, compression="zstd", write_statistics=False)
    return int(table.num_rows)


def write_stream(path: Path, rows: Iterable[Row], schema: pa.Schema, *, batch: int = 10_000) -> int:
    """Write rows as they come, a batch in memory at a time; return how many there were."""
    written, waiting = 0, iter(rows)
    with pq.ParquetWriter(path, schema, compression="zstd", write_statistics=False) as file:
        while chunk := list(islice(waiting, batch)):
            file.write_table(pa.Table.from_pylist(chunk, schema=schema))
            written += len(chunk)
    return written


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The table, or some of its columns."""
    return pq.read_table(path, columns=columns, memory_map=True)


def read_rows(path: Path, columns: Sequence[str] | None = None) -> list[Row]:
    """The table as one dictionary a row; for tables that fit in memory."""
    rows: list[Row] = read_table(path, columns).to_pylist()
    return rows


def iterate_rows(path: Path, *, batch: int = 10_000) -> Iterator[Row]:
    """Rows one by one, a batch in memory at a time."""
    with pq.ParquetFile(path) as file:
        for chunk in file.iter_batches(batch_size=batch):
            yield from chunk.to_pylist()


def columns_of(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """Columns of equal-keyed rows; empty where there are no rows."""
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else {})}
