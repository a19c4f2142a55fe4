"""A training's tokens on disk, read by memory map: encoded once, however many processes read them.

A process then holds the rows of a step, not the tokens of millions of pairs, and a killed
training that goes on finds them encoded.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import overload

import numpy as np
import pyarrow as pa
import torch.distributed as dist

from tasks.core.store.files import rename_durably
from tasks.core.training.tokens import Ids, Rows, Tokenized

TOKENS = "tokens.arrow"
_ROWS_AT_ONCE = 65_536


class MappedIds(Sequence[Ids]):
    """Token ids of each row, views of a mapped file: parts of ``_ROWS_AT_ONCE`` rows, end to end.

    Each part has its ids and, for each row and one more, where it begins among them.
    """

    def __init__(self, parts: Sequence[tuple[Ids, Rows]]) -> None:
        self._parts = parts
        self._size = sum(len(begins) - 1 for _, begins in parts)

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, row: int) -> Ids: ...
    @overload
    def __getitem__(self, row: slice) -> list[Ids]: ...
    def __getitem__(self, row: int | slice) -> Ids | list[Ids]:
        if isinstance(row, slice):
            return [self[one] for one in range(*row.indices(self._size))]
        part, place = divmod(range(self._size)[row], _ROWS_AT_ONCE)
        ids, begins = self._parts[part]
        return ids[begins[place] : begins[place + 1]]


def stored(encode: Callable[[], Tokenized], folder: Path | None) -> Tokenized:
    """What ``encode`` gives, by way of ``folder/tokens.arrow``; of several processes one encodes.

    Called again with a folder, ``encode`` is to give what it gave: it is not asked. Without one
    its answer is kept in memory.
    """
    if folder is None:
        return encode()
    path = folder / TOKENS
    if (not dist.is_initialized() or dist.get_rank() == 0) and not _is_whole(path):
        _write(encode(), path)
    if dist.is_initialized():
        dist.barrier()
    return _read(path)


def _write(tokens: Tokenized, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name(f".{path.name}")
    schema = pa.schema(
        {"ids": pa.list_(pa.int32()), "left_length": pa.int64()},
        metadata={"segmented": str(int(tokens.segmented))},
    )
    with pa.OSFile(str(written), "wb") as file, pa.ipc.new_file(file, schema) as arrow:
        for start in range(0, len(tokens), _ROWS_AT_ONCE):
            rows = tokens.token_ids[start : start + _ROWS_AT_ONCE]
            begins = np.cumsum([0, *map(len, rows)], dtype=np.int32)
            ids = pa.ListArray.from_arrays(begins, np.concatenate(rows))
            lengths = pa.array(tokens.left_lengths[start : start + _ROWS_AT_ONCE])
            arrow.write_batch(pa.record_batch([ids, lengths], schema=schema))
    rename_durably(written, path)


def _read(path: Path) -> Tokenized:
    with pa.memory_map(str(path)) as file:
        arrow = pa.ipc.open_file(file)
        parts = [arrow.get_batch(number) for number in range(arrow.num_record_batches)]
    ids = [(part["ids"].values.to_numpy(), part["ids"].offsets.to_numpy()) for part in parts]
    lengths = [part["left_length"].to_numpy() for part in parts]
    segmented = arrow.schema.metadata[b"segmented"] == b"1"
    return Tokenized(MappedIds(ids), np.concatenate([np.empty(0, np.int64), *lengths]), segmented)


def _is_whole(path: Path) -> bool:
    try:
        return bool(_read(path))
    except (OSError, pa.ArrowInvalid, KeyError):
        return False
