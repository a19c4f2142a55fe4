"""Metrics of every group under many resamples of members or queries at once.

Most metrics are a ratio of sums over rows. Their sums are taken once per cluster; a resample
then is one row of a matrix product. The AUC is not such a ratio: it is a weighted rank sum,
computed for a block of resamples from one sorted order.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Elements of a block of weights by cluster or by row: 32 MB, within reach of the caches.
_BLOCK_ELEMENTS = 4_000_000


@dataclass(frozen=True)
class ClusterSums:
    """Numerator and denominator of a ratio, each (clusters, groups)."""

    numerator: FloatArray
    denominator: FloatArray


def sums_by_cluster(
    numerator: FloatArray,
    denominator: FloatArray,
    clusters: IntArray,
    codes: IntArray,
    shape: tuple[int, int],
) -> ClusterSums:
    """Sums of row values over (cluster, group); rows whose group is -1 count nowhere."""
    known = codes >= 0
    cell = clusters[known] * shape[1] + codes[known]
    size = shape[0] * shape[1]

    def table(values: FloatArray) -> FloatArray:
        counted = np.bincount(cell, weights=values[known], minlength=size)
        return np.asarray(counted, np.float64).reshape(shape)

    return ClusterSums(table(numerator), table(denominator))


def weight_blocks(
    n_clusters: int, n_rows: int, *, n_resamples: int, seed: int
) -> Iterator[FloatArray]:
    """Blocks (clusters, resamples) of how often a resample draws each cluster.

    The very first column of the first block is all ones: the data as they are. The draws
    depend on the seed and the number of clusters alone, so that two tiers measured on the
    same rows are resampled alike and their difference can be taken draw by draw.
    """
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK_ELEMENTS // max(n_clusters, n_rows))
    yield np.ones((n_clusters, 1))
    for start in range(0, n_resamples, block):
        size = min(block, n_resamples - start)
        drawn = rng.integers(0, n_clusters, (n_clusters, size))
        cell = drawn * size + np.arange(size)
        counts = np.bincount(cell.ravel(), minlength=n_clusters * size)
        yield counts.reshape(n_clusters, size).astype(np.float64)


def resampled_ratios(sums: ClusterSums, weights: FloatArray) -> FloatArray:
    """Ratio of each group in each resample, (resamples, groups); NaN where undefined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(
            (weights.T @ sums.numerator) / (weights.T @ sums.denominator), dtype=np.float64
        )


def resampled_shares(sums: ClusterSums, weights: FloatArray) -> FloatArray:
    """Each group's share of the numerator over its share of the denominator."""
    numerator, denominator = weights.T @ sums.numerator, weights.T @ sums.denominator
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = (numerator / numerator.sum(1, keepdims=True)) / (
            denominator / denominator.sum(1, keepdims=True)
        )
    return np.asarray(np.where(np.isfinite(shares), shares, np.nan), dtype=np.float64)


@dataclass(frozen=True)
class SortedPairs:
    """Where each positive row falls among the negatives of its own group.

    `positives` and `negatives` are cluster numbers, sorted by group; negatives also by score.
    `below` and `not_above` count the negatives (of all groups so far) with a lower, and with
    a lower or equal, score; `group_start` bounds each group's positives and negatives.
    """

    positives: IntArray
    negatives: IntArray
    below: IntArray
    not_above: IntArray
    positive_start: IntArray
    negative_start: IntArray


def sorted_pairs(
    scores: FloatArray, positive: npt.NDArray[np.bool_], clusters: IntArray, codes: IntArray, n: int
) -> SortedPairs:
    """Order rows for `resampled_aucs`; `n` is the number of groups."""
    known = codes >= 0
    # Scores as dense ranks, so that group and score make one sortable key.
    _, level = np.unique(scores, return_inverse=True)
    key = codes * (int(level.max()) + 1) + level
    up, down = (np.flatnonzero(known & side) for side in (positive, ~positive))
    up, down = up[np.argsort(codes[up], kind="stable")], down[np.argsort(key[down], kind="stable")]
    return SortedPairs(
        positives=clusters[up],
        negatives=clusters[down],
        below=np.searchsorted(key[down], key[up], side="left"),
        not_above=np.searchsorted(key[down], key[up], side="right"),
        positive_start=np.searchsorted(codes[up], np.arange(n + 1)),
        negative_start=np.searchsorted(codes[down], np.arange(n + 1)),
    )


def resampled_aucs(pairs: SortedPairs, weights: FloatArray) -> FloatArray:
    """AUC of each group in each resample, ties worth one half; (resamples, groups).

    Source: the Mann-Whitney statistic with each row counted as often as it was drawn.
    """
    above = _cumulated(weights[pairs.negatives])
    positive_weight = weights[pairs.positives]
    start = np.repeat(pairs.negative_start[:-1], np.diff(pairs.positive_start))
    beaten = 0.5 * (above[pairs.below] + above[pairs.not_above]) - above[start]
    won = np.diff(_cumulated(positive_weight * beaten)[pairs.positive_start], axis=0)
    n_positive = np.diff(_cumulated(positive_weight)[pairs.positive_start], axis=0)
    n_negative = np.diff(above[pairs.negative_start], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((won / (n_positive * n_negative)).T, dtype=np.float64)


def _cumulated(values: FloatArray) -> FloatArray:
    total = np.zeros((len(values) + 1, values.shape[1]))
    np.cumsum(values, axis=0, out=total[1:])
    return total
