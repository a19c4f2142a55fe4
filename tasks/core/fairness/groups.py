"""Model metrics by group: gaps with intervals, and p-values corrected for their number."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypedDict, Unpack

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
from tasks.core.fairness.gaps import GapDraws, GroupMetric, correct_p_values, summarize
from tasks.core.fairness.metric_terms import METRICS, Rows, lists_of, resampled_by_group
from tasks.core.fairness.model_metrics import prepare_scores
from tasks.core.fairness.multiple_tests import Correction

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# The two rates left out are 1 minus a rate that is in: asking twice only weakens the tests.
DEFAULT_METRICS = tuple(
    name for name in METRICS if name not in ("false_negative_rate", "true_negative_rate")
)


class MetricOptions(TypedDict, total=False):
    """What `values_by_group` takes by name; it states the defaults."""

    metrics: Sequence[str]
    n_resamples: int
    seed: int
    queries: npt.NDArray[np.generic] | None
    positive_from: float
    threshold: float | None
    minimum_clusters: int
    targets: FloatArray | None


def group_metrics(
    tier: str,
    scores: FloatArray,
    labels: FloatArray,
    groups: Groups,
    clusters: npt.NDArray[np.generic],
    *,
    correction: Correction = "holm",
    **options: Unpack[MetricOptions],
) -> list[GroupMetric]:
    """Gaps between every two groups of every attribute, with 95% intervals and p-values.

    Arguments and options are those of `values_by_group`. p-values are corrected over all rows
    returned: to correct over several tiers pass correction="none" to each and call
    `correct_p_values` once over all of them.

    Source: LiFT; intervals by the cluster bootstrap (Davison and Hinkley 1997, 3.8), p by a
    t-test of the gap over its bootstrap sd.
    """
    draws = gap_draws(tier, scores, labels, groups, clusters, **options)
    return correct_p_values([summarize(draw) for draw in draws], method=correction)


def gap_draws(
    tier: str,
    scores: FloatArray,
    labels: FloatArray,
    groups: Groups,
    clusters: npt.NDArray[np.generic],
    **options: Unpack[MetricOptions],
) -> list[GapDraws]:
    """The gaps of `group_metrics` with their resamples, equal across tiers for equal rows."""
    found = values_by_group(scores, labels, groups, clusters, **options)
    return [gap for values in found for gap in _gaps(tier, values)]


@dataclass(frozen=True)
class GroupValues:
    """Every metric of the groups of one attribute that are large enough to compare.

    `values` are (1 + resamples, groups) by metric, the first row the data as they are;
    `sizes` counts each group's members or queries.
    """

    attribute: Attribute
    sizes: IntArray
    values: dict[str, FloatArray]


def values_by_group(
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
    targets: FloatArray | None = None,
) -> list[GroupValues]:
    """The metrics of each group, attribute by attribute; all arguments one entry a row.

    `scores` are probabilities (or a relevance of 0 to 1), `labels` grades or clicks, positive
    from `positive_from` on; `clusters` the member or query that is resampled as a whole;
    `queries` the list a row is ranked in (default: its cluster). Without `threshold` rates
    are expected counts. Groups with fewer than `minimum_clusters` clusters are not compared
    (`small_groups` names them); exposure and attention are left out where no list holds two
    groups. `targets` are what calibration holds predictions against (default: 1 for a
    positive, else 0).

    Raises: CookbookError for an unknown metric name, or scores outside 0 to 1.
    """
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise CookbookError(
            f"no group metric is called {', '.join(map(repr, unknown))}: choose from "
            f"{', '.join(METRICS)}"
        )
    numbers, n_clusters = cluster_numbers(clusters, len(groups))
    rows = Rows(
        prepare_scores(scores, raw=False, threshold=threshold),
        scores,
        labels.astype(np.float64),
        labels >= positive_from,
        numbers,
        lists_of(numbers if queries is None else queries, numbers),
        n_clusters,
        (labels >= positive_from).astype(np.float64) if targets is None else targets,
    )
    found = []
    for attribute in attributes_of(groups):
        held = clusters_by_group(attribute, numbers)
        compared = _only(attribute, held >= minimum_clusters)
        if len(compared.groups) > 1:
            values = resampled_by_group(rows, compared, metrics, n_resamples, seed)
            found.append(GroupValues(compared, held[held >= minimum_clusters], values))
    return found


def _only(attribute: Attribute, keep: npt.NDArray[np.bool_]) -> Attribute:
    renumbered = np.where(keep, np.cumsum(keep) - 1, -1)
    codes = np.where(attribute.codes >= 0, renumbered[attribute.codes], -1)
    names = tuple(name for name, kept in zip(attribute.groups, keep, strict=True) if kept)
    return Attribute(attribute.name, names, codes)


def _gaps(tier: str, found: GroupValues) -> list[GapDraws]:
    return [
        GapDraws(
            tier=tier,
            name=name,
            group_pair=found.attribute.pair(a, b),
            value=float(by_group[0, a] - by_group[0, b]),
            draws=by_group[1:, a] - by_group[1:, b],
            n_clusters=int(min(found.sizes[a], found.sizes[b])),
        )
        for name, by_group in found.values.items()
        for a, b in combinations(range(len(found.attribute.groups)), 2)
    ]
