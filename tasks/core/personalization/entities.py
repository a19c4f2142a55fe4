"""Which rows belong to which entity: encoding of entity ids, grouping of rows, seeded hashes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.core.errors import CookbookError
from tasks.core.personalization.compiled import compiled

Ids: TypeAlias = (
    Sequence[str] | npt.NDArray[np.str_] | npt.NDArray[np.object_] | pa.Array | pa.ChunkedArray
)


@dataclass(frozen=True)
class Grouping:
    """Rows by entity: entity e owns rows `order[starts[e]:starts[e + 1]]`, in their first order.

    `entity_ids` (E,) are distinct and sorted by their UTF-8 bytes.
    """

    entity_ids: pa.StringArray
    order: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Rows of each entity (E,)."""
        return np.diff(self.starts)


def to_strings(ids: Ids) -> pa.StringArray:
    """Ids (n,) as one Arrow string array. Raises CookbookError on a missing id."""
    array = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else pa.array(ids)
    if array.null_count:
        raise CookbookError(
            f"Expected an entity id on each of {len(array)} rows, found {array.null_count} without "
            "one; drop these rows or give them an id."
        )
    return array if pa.types.is_string(array.type) else array.cast(pa.string())


def group_rows(ids: Ids) -> Grouping:
    """Group rows by entity id.

    Numbers: ids b, a, b give entities (a, b), order (1, 0, 2), starts (0, 1, 3).
    """
    encoded = to_strings(ids).dictionary_encode()
    ascending = pc.sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(ascending), np.int64)
    rank[ascending] = np.arange(len(ascending))
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    starts = np.zeros(len(ascending) + 1, np.int64)
    np.cumsum(np.bincount(codes, minlength=len(ascending))[ascending], out=starts[1:])
    order = np.empty(len(codes), np.int64)
    _place_rows(codes, rank, starts[:-1].copy(), order)
    return Grouping(encoded.dictionary.take(pa.array(ascending)), order, starts)


@compiled
def _place_rows(
    codes: npt.NDArray[np.int32],
    rank: npt.NDArray[np.int64],
    free: npt.NDArray[np.int64],
    order: npt.NDArray[np.int64],
) -> None:
    for row in range(codes.size):
        entity = rank[codes[row]]
        order[free[entity]] = row
        free[entity] += 1


def keep_rows(grouping: Grouping, kept: npt.NDArray[np.bool_]) -> Grouping:
    """The same entities with only those places of `order` where `kept` (n,) is true."""
    starts = np.zeros(len(grouping.starts), np.int64)
    np.cumsum(kept, out=(running := np.zeros(len(kept) + 1, np.int64))[1:])
    starts[:] = running[grouping.starts]
    return Grouping(grouping.entity_ids, grouping.order[kept], starts)


def find_entities(
    ids: Ids, known: pa.StringArray, *, ascending: bool = True
) -> npt.NDArray[np.int64]:
    """Position of each id (n,) in `known` (E,), or -1.

    Where `known` is `ascending`, a few ids are found by bisection, which reads a handful of
    places of a mapped file; many by one hash table.
    """
    wanted = to_strings(ids)
    if ascending and len(wanted) * 50 < len(known):
        return np.array([_bisect(known, text) for text in wanted.to_pylist()], np.int64)
    found = pc.index_in(wanted, value_set=known)
    return np.asarray(found.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)


def _bisect(known: pa.StringArray, text: str) -> int:
    low, high = 0, len(known)
    while low < high:
        middle = (low + high) // 2
        if known[middle].as_py() < text:
            low = middle + 1
        else:
            high = middle
    return low if low < len(known) and known[low].as_py() == text else -1


def hash_ids(ids: Ids, seed: int) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of each id (n,), the same in every process; `seed` gives another hash.

    Source: FNV-1a over the UTF-8 bytes, then the splitmix64 finalizer, whose bits are well mixed.
    """
    strings = to_strings(ids)
    buffers = strings.buffers()
    offsets = np.frombuffer(buffers[1], np.int32)[
        strings.offset : strings.offset + len(strings) + 1
    ]
    data = np.frombuffer(buffers[2] or b"", np.uint8)
    hashes = np.empty(len(strings), np.uint64)
    _hash_bytes(data, offsets, np.uint64(seed), hashes)
    return hashes


@compiled
def _hash_bytes(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int32],
    seed: np.uint64,
    hashes: npt.NDArray[np.uint64],
) -> None:
    for i in range(hashes.size):
        value = np.uint64(0xCBF29CE484222325) ^ (seed * np.uint64(0x9E3779B97F4A7C15))
        for place in range(offsets[i], offsets[i + 1]):
            value = (value ^ np.uint64(data[place])) * np.uint64(0x100000001B3)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        hashes[i] = value ^ (value >> np.uint64(31))
