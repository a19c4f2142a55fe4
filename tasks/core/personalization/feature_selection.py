"""Few features for entities with few rows: those that correlate most with the labels."""

import numpy as np
import numpy.typing as npt

from tasks.core.personalization.compiled import compiled
from tasks.core.personalization.design import LocalColumns, gather
from tasks.core.personalization.entities import Grouping
from tasks.core.personalization.training_rows import TrainingRows

Integers = npt.NDArray[np.int64]


def select_features(
    data: TrainingRows, grouping: Grouping, local: LocalColumns, ratio: float
) -> LocalColumns:
    """Keep each entity's ceil(ratio * rows) columns of largest absolute Pearson correlation.

    A constant column counts as uncorrelated; equal correlations keep the lower column.
    Source: Photon ML's LocalDataset.
    """
    kept = np.zeros(len(local.columns), np.bool_)
    for e in range(len(grouping.entity_ids)):
        begin, end = local.starts[e], local.starts[e + 1]
        order = grouping.order[grouping.starts[e] : grouping.starts[e + 1]]
        most = int(np.ceil(ratio * len(order)))
        if most >= end - begin:
            kept[begin:end] = True
            continue
        own = LocalColumns(local.columns[begin:end], np.array([0, end - begin]))
        one = np.array([0, len(order)])
        design, _ = gather(data.features, order, one, own, False, np.float64)
        strength = np.empty(end - begin)
        table = design.astype(np.float64, copy=False).reshape(end - begin, len(order))
        _correlations(table, data.labels[order], strength)
        kept[begin + np.argsort(-np.round(strength, 12), kind="stable")[:most]] = True
    counted = np.zeros(len(kept) + 1, np.int64)
    np.cumsum(kept, out=counted[1:])
    return LocalColumns(local.columns[kept], counted[local.starts])


@compiled
def _correlations(
    design: npt.NDArray[np.float64], labels: npt.NDArray[np.float64],
    strength: npt.NDArray[np.float64],
) -> None:  # fmt: skip
    centered = labels - labels.mean()
    length = np.sqrt((centered * centered).sum())
    for j in range(design.shape[0]):
        column = design[j] - design[j].mean()
        size = np.sqrt((column * column).sum())
        tiny = 1e-12 * (1 + np.abs(design[j]).max()) * np.sqrt(design.shape[1])
        strength[j] = 0.0
        if size > tiny and length > 0:
            strength[j] = abs((column * centered).sum()) / (size * length)
