"""Model metrics by group: gaps with intervals, and p-values corrected for their number."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from tasks.core.errors import CookbookError
from tasks.core.fairness.attributes import (
    MINIMUM_CLUSTERS,
    Attribute,
    Groups,
    attributes_of,
    cluster_numbers,
    clusters_by_group,
)
from tasks.core.fairness.cluster_bootstrap import (
    resampled_aucs,
    resampled_ratios,
    resampled_shares,
    sorted_pairs,
    sums_by_cluster,
    weight_blocks,
)
from tasks.core.fairness.gaps import GapDraws, GroupMetric, correct_p_values, summarize
from tasks.core.fairness.model_metrics import prepare_scores
from tasks.core.fairness.multiple_tests import Correction
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
# The two rates left out are 1 minus a rate that is in: asking twice only weakens the tests.
DEFAULT_METRICS = tuple(
    m for m in METRICS if m not in ("false_negative_rate", "true_negative_rate")
)
_K = 10


def group_metrics(
    tier: str,
    scores: FloatArray,
    labels: FloatArray,
    groups: Groups,
    clusters: npt.NDArray[np.generic],
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    n_resamples: int = 1000,
    seed: int = 0,
    queries: npt.NDArray[np.generic] | None = None,
    positive_from: float = 1.0,
    threshold: float | None = None,
    minimum_clusters: int = MINIMUM_CLUSTERS,
    correction: Correction = "holm",
) -> list[GroupMetric]:
    """Gaps between every two groups of every attribute; all arguments one entry a row.

    `scores` are probabilities (or a relevance of 0 to 1), `labels` grades or clicks, positive
    from `positive_from` on; `clusters` the member or query that is resampled as a whole;
    `queries` the list a row is ranked in (default: its cluster). Without `threshold` rates
    are expected counts. Groups with fewer than `minimum_clusters` clusters are not compared
    (`small_groups` names them); exposure and attention are left out where no list holds two
    groups. p-values are corrected over all rows returned: to correct over several tiers
    pass correction="none" and `correct_p_values` over all of them.

    Raises: CookbookError for an unknown metric name, or scores outside 0 to 1.
    Source: LiFT; intervals by the cluster bootstrap (Davison and Hinkley 1997, 3.8), p by a
    t-test of the gap over its bootstrap sd.
    """
    draws = gap_draws(
        tier,
        scores,
        labels,
        groups,
        clusters,
        metrics=metrics,
        n_resamples=n_resamples,
        seed=seed,
        queries=queries,
        positive_from=positive_from,
        threshold=threshold,
        minimum_clusters=minimum_clusters,
    )
    return correct_p_values([summarize(draw) for draw in draws], method=correction)


def gap_draws(
    tier: str,
    scores: FloatArray,
    labels: FloatArray,
    groups: Groups,
    clusters: npt.NDArray[np.generic],
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    n_resamples: int = 1000,
    seed: int = 0,
    queries: npt.NDArray[np.generic] | None = None,
    positive_from: float = 1.0,
    threshold: float | None = None,
    minimum_clusters: int = MINIMUM_CLUSTERS,
) -> list[GapDraws]:
    """The gaps of `group_metrics` with their resamples, equal across tiers for equal rows."""
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise CookbookError(
            f"no group metric is called {', '.join(map(repr, unknown))}: choose from "
            f"{', '.join(METRICS)}"
        )
    numbers, n_clusters = cluster_numbers(clusters, len(groups))
    lists = _lists(numbers if queries is None else queries, numbers)
    rows = _Rows(
        prepare_scores(scores, raw=False, threshold=threshold),
        scores,
        labels.astype(np.float64),
        labels >= positive_from,
        numbers,
        lists,
        n_clusters,
    )
    found = []
    for attribute in attributes_of(groups):
        held = clusters_by_group(attribute, numbers)
        compared = _only(attribute, held >= minimum_clusters)
        if len(compared.groups) > 1:
            sizes = held[held >= minimum_clusters]
            values = _resampled_by_group(rows, compared, metrics, n_resamples, seed)
            found += _gaps(tier, compared, sizes, values)
    return found


@dataclass(frozen=True)
class _Rows:
    predictions: FloatArray
    scores: FloatArray
    grades: FloatArray
    positive: npt.NDArray[np.bool_]
    clusters: IntArray
    lists: IntArray
    n_clusters: int


def _lists(queries: npt.NDArray[np.generic], clusters: IntArray) -> IntArray:
    """A list is one query of one cluster: two members' lists of one query stay apart."""
    _, query = np.unique(queries, return_inverse=True)
    _, numbers = np.unique(query * (int(clusters.max()) + 1) + clusters, return_inverse=True)
    return numbers.astype(np.int64)


def _only(attribute: Attribute, keep: npt.NDArray[np.bool_]) -> Attribute:
    renumbered = np.where(keep, np.cumsum(keep) - 1, -1)
    codes = np.where(attribute.codes >= 0, renumbered[attribute.codes], -1)
    names = tuple(name for name, kept in zip(attribute.groups, keep, strict=True) if kept)
    return Attribute(attribute.name, names, codes)


def _resampled_by_group(
    rows: _Rows, attribute: Attribute, metrics: Sequence[str], n_resamples: int, seed: int
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


def _metric(name: str, rows: _Rows, attribute: Attribute) -> Resampled | None:
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


def _row_terms(name: str, rows: _Rows) -> tuple[FloatArray, FloatArray]:
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
        "calibration": (y - p, one),
    }[name]


def _list_terms(
    name: str, rows: _Rows, attribute: Attribute
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


def _gaps(
    tier: str, attribute: Attribute, sizes: IntArray, values: dict[str, FloatArray]
) -> list[GapDraws]:
    return [
        GapDraws(
            tier=tier,
            name=name,
            group_pair=attribute.pair(a, b),
            value=float(by_group[0, a] - by_group[0, b]),
            draws=by_group[1:, a] - by_group[1:, b],
            n_clusters=int(min(sizes[a], sizes[b])),
        )
        for name, by_group in values.items()
        for a, b in combinations(range(len(attribute.groups)), 2)
    ]
