"""What each group metric adds up, row by row or list by list, and its values by group."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.core.fairness.attributes import Attribute
from tasks.core.fairness.cluster_bootstrap import (
    resampled_aucs,
    resampled_ratios,
    resampled_shares,
    sorted_pairs,
    sums_by_cluster,
    weight_blocks,
)
from tasks.core.fairness.ranking import exposure, ndcg_by_list, ranks_within

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Resampled = Callable[[FloatArray], FloatArray]

METRICS = (
    "demographic_parity",
    "precision",
    "recall",
    "false_positive_rate",
    "false_negative_rate",
    "true_negative_rate",
    "calibration",
    "auc",
    "precision_at_10",
    "ndcg_at_10",
    "exposure",
    "attention",
)
_K = 10


@dataclass(frozen=True)
class Rows:
    """Columns of equal length: clusters and lists numbered from 0, predictions 0 to 1.

    ``targets`` are what a calibrated prediction equals on average.
    """

    predictions: FloatArray
    scores: FloatArray
    grades: FloatArray
    positive: npt.NDArray[np.bool_]
    clusters: IntArray
    lists: IntArray
    n_clusters: int
    targets: FloatArray


def lists_of(queries: npt.NDArray[np.generic], clusters: IntArray) -> IntArray:
    """A list is one query of one cluster: two members' lists of one query stay apart."""
    _, query = np.unique(queries, return_inverse=True)
    _, numbers = np.unique(query * (int(clusters.max()) + 1) + clusters, return_inverse=True)
    return numbers.astype(np.int64)


def resampled_by_group(
    rows: Rows, attribute: Attribute, metrics: Sequence[str], n_resamples: int, seed: int
) -> dict[str, FloatArray]:
    """Each metric's values, (1 + resamples, groups); the first row is the data as they are."""
    compute = {
        name: resampled
        for name in metrics
        if (resampled := _metric(name, rows, attribute)) is not None
    }
    blocks = weight_blocks(rows.n_clusters, len(rows.scores), n_resamples=n_resamples, seed=seed)
    values: dict[str, list[FloatArray]] = {name: [] for name in compute}
    for weights in blocks:
        for name, resampled in compute.items():
            values[name].append(resampled(weights))
    return {name: np.concatenate(parts) for name, parts in values.items()}


def _metric(name: str, rows: Rows, attribute: Attribute) -> Resampled | None:
    n_groups = len(attribute.groups)
    if name == "auc":
        pairs = sorted_pairs(rows.scores, rows.positive, rows.clusters, attribute.codes, n_groups)
        return lambda weights: resampled_aucs(pairs, weights)
    if name in ("exposure", "attention") and not _groups_meet(rows.lists, attribute.codes):
        return None
    if name in ("precision_at_10", "ndcg_at_10"):
        numerator, denominator, clusters, codes = _list_terms(name, rows, attribute)
    else:
        numerator, denominator = _row_terms(name, rows)
        clusters, codes = rows.clusters, attribute.codes
    sums = sums_by_cluster(numerator, denominator, clusters, codes, (rows.n_clusters, n_groups))
    if name == "attention":
        return lambda weights: resampled_shares(sums, weights)
    return lambda weights: resampled_ratios(sums, weights)


def _row_terms(name: str, rows: Rows) -> tuple[FloatArray, FloatArray]:
    """Numerator and denominator of a ratio, one term a row."""
    p, y, one = rows.predictions, rows.positive.astype(np.float64), np.ones(len(rows.scores))
    if name == "exposure":
        return exposure(ranks_within(rows.lists, rows.scores)), one
    if name == "attention":
        return exposure(ranks_within(rows.lists, rows.scores)), rows.grades
    return {
        "demographic_parity": (p, one),
        "precision": (p * y, p),
        "recall": (p * y, y),
        "false_positive_rate": (p * (1 - y), 1 - y),
        "false_negative_rate": ((1 - p) * y, y),
        "true_negative_rate": ((1 - p) * (1 - y), 1 - y),
        "calibration": (rows.targets - p, one),
    }[name]


def _list_terms(
    name: str, rows: Rows, attribute: Attribute
) -> tuple[FloatArray, FloatArray, IntArray, IntArray]:
    """Terms of a mean over lists, one a (list, group): value, weight, cluster, group."""
    known = attribute.codes >= 0
    n_groups = len(attribute.groups)
    key, first, cell = np.unique(
        rows.lists[known] * n_groups + attribute.codes[known],
        return_index=True,
        return_inverse=True,
    )
    if name == "ndcg_at_10":
        value = ndcg_by_list(cell, rows.scores[known], rows.grades[known], len(key), k=_K)
    else:
        # Ranks of the whole list: what matters is whether members saw the group's rows.
        top = (ranks_within(rows.lists, rows.scores) <= _K)[known]
        shown = np.bincount(cell, weights=top)
        value = np.bincount(cell, weights=top & rows.positive[known]) / np.maximum(shown, 1.0)
    measured = np.isfinite(value)
    return (
        np.where(measured, value, 0.0),
        measured.astype(np.float64),
        rows.clusters[known][first],
        key % n_groups,
    )


def _groups_meet(lists: IntArray, codes: IntArray) -> bool:
    """Whether any list holds rows of two groups; a member's own group never does."""
    known = codes >= 0
    held = np.unique(np.stack([lists[known], codes[known]]), axis=1)[0]
    return bool((np.diff(held) == 0).any())
