"""Random draws of the simulator: one independent stream per stage, weighted picks by column."""

import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def stage_generator(seed: int, stage: str) -> np.random.Generator:
    """A stream of its own per stage, so that a change in one stage leaves the others' draws."""
    return np.random.Generator(np.random.PCG64([seed, zlib.crc32(stage.encode())]))


def pick(rng: np.random.Generator, weights: Sequence[float] | Floats, size: int) -> Ints:
    """`size` indices, index i with probability weights[i] / sum(weights)."""
    cumulative = np.cumsum(np.asarray(weights, dtype=np.float64))
    drawn = np.searchsorted(cumulative, rng.random(size) * cumulative[-1], side="right")
    index: Ints = np.minimum(drawn, len(cumulative) - 1)
    return index


def pick_per_row(rng: np.random.Generator, weights: Floats) -> Ints:
    """One index per row of `weights` (rows, options)."""
    cumulative = np.cumsum(weights, axis=1)
    drawn = rng.random(len(weights)) * cumulative[:, -1]
    index: Ints = np.minimum((cumulative <= drawn[:, None]).sum(axis=1), weights.shape[1] - 1)
    return index


def ragged(lists: Sequence[Sequence[int]]) -> Ints:
    """Lists of different length as one table, padded on the right with -1."""
    table = np.full((len(lists), max(1, *(len(row) for row in lists))), -1, dtype=np.int64)
    for i, row in enumerate(lists):
        table[i, : len(row)] = row
    return table


def grouped(key: Ints, rows: Ints, groups: int) -> Ints:
    """Rows by the value of `key`, as a padded table (groups, largest group)."""
    order = rows[np.argsort(key[rows], kind="stable")]
    ends = np.searchsorted(key[order], np.arange(groups), side="right")
    starts = np.searchsorted(key[order], np.arange(groups), side="left")
    table = np.full((groups, max(1, int((ends - starts).max()))), -1, dtype=np.int64)
    for group in range(groups):
        table[group, : ends[group] - starts[group]] = order[starts[group] : ends[group]]
    return table


def sample_columns(rng: np.random.Generator, table: Ints, counts: Ints, front: float = 0.0) -> Ints:
    """Per row, `counts[i]` different entries of a padded table, as a table padded with -1.

    `front` above 0 favors the entries that come first in their row.
    """
    order = rng.random(table.shape) + front * np.arange(table.shape[1]) / table.shape[1]
    order[table < 0] = np.inf
    columns = np.argsort(order, axis=1, kind="stable")
    taken = np.take_along_axis(table, columns, axis=1)
    taken[np.arange(table.shape[1])[None, :] >= counts[:, None]] = -1
    return taken
