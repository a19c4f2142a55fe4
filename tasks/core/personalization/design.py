"""Each entity's own design matrix: its local features, gathered into blocks for the solver."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tasks.core.personalization.compiled import compiled
from tasks.core.personalization.entities import Grouping

Features = npt.NDArray[np.floating] | sp.csr_matrix | sp.csr_array
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LocalColumns:
    """Columns that each entity uses: entity e has `columns[starts[e]:starts[e + 1]]`, ascending."""

    columns: npt.NDArray[np.int32]
    starts: Integers


def local_columns(features: Features, grouping: Grouping, only_present: bool) -> LocalColumns:
    """Columns per entity: those with a non-zero value on its rows or, without it, all columns."""
    entities, width = len(grouping.starts) - 1, features.shape[1]
    if not only_present:
        columns = np.tile(np.arange(width, dtype=np.int32), entities)
        return LocalColumns(columns, np.arange(entities + 1, dtype=np.int64) * width)
    starts = np.zeros(entities + 1, np.int64)
    columns = np.empty(0, np.int32)
    if isinstance(features, np.ndarray):
        _present_dense(features, grouping.order, grouping.starts, columns, starts, False)
        np.cumsum(starts, out=starts)
        columns = np.empty(starts[-1], np.int32)
        _present_dense(features, grouping.order, grouping.starts, columns, starts, True)
        return LocalColumns(columns, starts)
    parts = (features.indptr.astype(np.int64), features.indices, features.data, width)
    _present_sparse(*parts, grouping.order, grouping.starts, columns, starts, False)
    np.cumsum(starts, out=starts)
    columns = np.empty(starts[-1], np.int32)
    _present_sparse(*parts, grouping.order, grouping.starts, columns, starts, True)
    return LocalColumns(columns, starts)


@compiled
def _present_dense(
    features: npt.NDArray[np.floating], order: Integers, row_starts: Integers,
    columns: npt.NDArray[np.int32], starts: Integers, write: bool,
) -> None:  # fmt: skip
    width = features.shape[1]
    seen = np.zeros(width, np.bool_)
    for e in range(row_starts.size - 1):
        seen[:] = False
        count = 0
        for place in range(row_starts[e], row_starts[e + 1]):
            if count == width:
                break
            row = order[place]
            for j in range(width):
                if features[row, j] != 0 and not seen[j]:
                    seen[j] = True
                    count += 1
        if not write:
            starts[e + 1] = count
            continue
        free = starts[e]
        for j in range(width):
            if seen[j]:
                columns[free] = j
                free += 1


@compiled
def _present_sparse(
    pointers: Integers, indices: npt.NDArray[np.int32], values: npt.NDArray[np.floating],
    width: int, order: Integers, row_starts: Integers,
    columns: npt.NDArray[np.int32], starts: Integers, write: bool,
) -> None:  # fmt: skip
    last_seen = np.full(width, -1, np.int64)
    for e in range(row_starts.size - 1):
        count = 0
        for place in range(row_starts[e], row_starts[e + 1]):
            row = order[place]
            for k in range(pointers[row], pointers[row + 1]):
                column = indices[k]
                if values[k] != 0 and last_seen[column] != e:
                    last_seen[column] = e
                    if write:
                        columns[starts[e] + count] = column
                    count += 1
        if write:
            columns[starts[e] : starts[e] + count].sort()
        else:
            starts[e + 1] = count


def gather(
    features: Features, order: Integers, row_starts: Integers, local: LocalColumns,
    intercept: bool, dtype: npt.DTypeLike,
) -> tuple[npt.NDArray[np.floating], Integers]:  # fmt: skip
    """Design blocks of some entities end to end, and where each starts.

    The first feature of a block is a row of ones where there is an intercept.
    """
    rows = np.diff(row_starts)
    extra = int(intercept)
    starts = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(rows * (np.diff(local.starts) + extra), out=starts[1:])
    design = np.empty(starts[-1], dtype)
    if isinstance(features, np.ndarray):
        _gather_dense(
            features, order, row_starts, local.columns, local.starts, extra, design, starts,
        )  # fmt: skip
    else:
        _gather_sparse(
            features.indptr.astype(np.int64), features.indices, features.data, features.shape[1],
            order, row_starts, local.columns, local.starts, extra, design, starts,
        )  # fmt: skip
    return design, starts[:-1]


@compiled
def _gather_dense(
    features: npt.NDArray[np.floating], order: Integers, row_starts: Integers,
    columns: npt.NDArray[np.int32], starts: Integers, extra: int,
    design: npt.NDArray[np.floating], design_starts: Integers,
) -> None:  # fmt: skip
    for e in range(row_starts.size - 1):
        rows = row_starts[e + 1] - row_starts[e]
        place = design_starts[e]
        if extra:
            design[place : place + rows] = 1
        own = columns[starts[e] : starts[e + 1]]
        for i in range(rows):
            row = order[row_starts[e] + i]
            for j in range(own.size):
                design[place + (j + extra) * rows + i] = features[row, own[j]]


@compiled
def _gather_sparse(
    pointers: Integers, indices: npt.NDArray[np.int32], values: npt.NDArray[np.floating],
    width: int, order: Integers, row_starts: Integers,
    columns: npt.NDArray[np.int32], starts: Integers, extra: int,
    design: npt.NDArray[np.floating], design_starts: Integers,
) -> None:  # fmt: skip
    position = np.full(width, -1, np.int64)
    for e in range(row_starts.size - 1):
        rows = row_starts[e + 1] - row_starts[e]
        place = design_starts[e]
        if extra:
            design[place : place + rows] = 1
        own = columns[starts[e] : starts[e + 1]]
        for j in range(own.size):
            position[own[j]] = j + extra
            begin = place + (j + extra) * rows
            design[begin : begin + rows] = 0
        for i in range(rows):
            row = order[row_starts[e] + i]
            for k in range(pointers[row], pointers[row + 1]):
                j = position[indices[k]]
                if j >= 0:
                    design[place + j * rows + i] += values[k]
        for j in range(own.size):
            position[own[j]] = -1
