"""95% intervals by the bootstrap, resampled by cluster: golden data by query, clicks by member.

Rows of one query (or of one member) stand or fall together, so they are resampled together;
resampling rows would make every interval too narrow.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A figure, its 95% interval, and the number of clusters (queries or members) behind it."""

    value: float
    low: float
    high: float
    n: int

    def to_json(self) -> dict[str, float | int]:
        return asdict(self)


def bootstrap_mean(values: Floats, *, n_resamples: int = 2000, seed: int = 0) -> Interval:
    """Interval of the mean of one value per cluster, shape (clusters,)."""
    return bootstrap_ratio(values, np.ones_like(values), n_resamples=n_resamples, seed=seed)


def bootstrap_ratio(
    numerators: Floats, denominators: Floats, *, n_resamples: int = 2000, seed: int = 0
) -> Interval:
    """Interval of sum(numerators) / sum(denominators), both of shape (clusters,), paired.

    "Kept" is such a ratio: the student's NDCG over the teacher's, on the same queries.

    Raises:
        ValueError: there is no cluster, or the shapes differ.
    """
    if numerators.shape != denominators.shape or not numerators.size:
        raise ValueError(
            "A paired interval needs the same clusters on both sides, and at least one; "
            f"came {numerators.shape} and {denominators.shape}."
        )
    weights = cluster_weights(len(numerators), n_resamples=n_resamples, seed=seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        resampled = (weights @ numerators) / (weights @ denominators)
        value = float(numerators.sum() / denominators.sum())
    return from_resamples(value, resampled, len(numerators))


def bootstrap_statistic(
    statistic: Callable[[Floats], float],
    clusters: npt.NDArray[np.int64],
    *,
    n_resamples: int = 400,
    seed: int = 0,
) -> Interval:
    """Interval of any statistic of row weights, shape (rows,), such as a weighted AUC.

    ``clusters`` numbers each row's cluster from 0. A resample weighs every row by how often
    its cluster was drawn, which costs no copying of rows.
    """
    n_clusters = int(clusters.max()) + 1
    value = statistic(np.ones(len(clusters)))
    weights = cluster_weights(n_clusters, n_resamples=n_resamples, seed=seed)
    resampled = np.array([statistic(draw[clusters]) for draw in weights])
    return from_resamples(value, resampled, n_clusters)


def share_interval(count: int, n: int) -> Interval:
    """A share of n independent answers with Wilson's interval.

    None of 50 resampled is none in every resample: the bootstrap would call it certain.
    """
    low, high = binomtest(count, n).proportion_ci(method="wilson")
    return Interval(count / n, float(low), float(high), n)


def cluster_weights(n_clusters: int, *, n_resamples: int, seed: int) -> Floats:
    """How often each cluster is drawn in each resample, shape (n_resamples, n_clusters)."""
    generator = np.random.default_rng(seed)
    share = np.full(n_clusters, 1.0 / n_clusters)
    return generator.multinomial(n_clusters, share, size=n_resamples).astype(np.float64)


def from_resamples(value: float, resampled: Floats, n: int) -> Interval:
    """The percentile interval; resamples without a value (one class drawn) are left out."""
    finite = resampled[np.isfinite(resampled)]
    if not finite.size:
        return Interval(value, float("nan"), float("nan"), n)
    low, high = np.quantile(finite, [0.025, 0.975])
    return Interval(value, float(low), float(high), n)


def number_clusters(keys: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Cluster numbers from 0, shape (rows,), in the sorted order of the keys."""
    return np.unique(np.asarray(keys), return_inverse=True)[1].astype(np.int64)
