"""One figure for all groups of an attribute: inequality of a metric, distance of predictions.

A gap compares two groups; with ten groups there are 45 of them. These rows sum them up.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tasks.core.fairness.attributes import (
    MINIMUM_CLUSTERS,
    Groups,
    attributes_of,
    cluster_numbers,
    clusters_by_group,
)
from tasks.core.fairness.cluster_bootstrap import sums_by_cluster, weight_blocks
from tasks.core.fairness.distances import (
    js_divergence,
    kl_divergence,
    maximum_skew,
    minimum_skew,
    total_variation_distance,
)
from tasks.core.fairness.gaps import GroupMetric
from tasks.core.fairness.groups import GroupValues
from tasks.core.fairness.inequality import (
    atkinson_index,
    coefficient_of_variation,
    generalized_entropy_index,
    theil_l_index,
    theil_t_index,
)

FloatArray = npt.NDArray[np.float64]
Index = Callable[[FloatArray], float]
Distance = Callable[[Mapping[int, float], Mapping[int, float]], float]

INDEXES: dict[str, Index] = {
    "generalized_entropy_index_2": lambda benefits: generalized_entropy_index(benefits, 2.0),
    "theil_t_index": theil_t_index,
    "theil_l_index": theil_l_index,
    "atkinson_index_0.5": lambda benefits: atkinson_index(benefits, 0.5),
    "coefficient_of_variation": coefficient_of_variation,
}
# With two outcomes the infinity norm equals the total variation, and both the parity gap.
DISTANCES: dict[str, Distance] = {
    "total_variation_distance": total_variation_distance,
    "js_divergence": js_divergence,
    "kl_divergence": kl_divergence,
    "minimum_skew": lambda observed, reference: minimum_skew(observed, reference)[1],
    "maximum_skew": lambda observed, reference: maximum_skew(observed, reference)[1],
}


def inequality_metrics(
    tier: str, found: Sequence[GroupValues], *, indexes: Mapping[str, Index] = INDEXES
) -> list[GroupMetric]:
    """Inequality of every metric over the groups of an attribute, with 95% intervals.

    `found` comes from `values_by_group`. Metrics that can be negative (calibration) and those
    undefined in some group are left out. There is no p-value: an index is never below 0, and
    its interval never holds 0, so read the interval as a size.

    Source: LiFT's aggregate metrics over a benefit vector.
    """
    rows = []
    for group_values in found:
        pair = f"{group_values.attribute.name}: all groups"
        for metric, values in group_values.values.items():
            usable = values[np.isfinite(values).all(1) & (values >= 0).all(1) & values.any(1)]
            if len(usable) < 0.9 * len(values) or not np.array_equal(usable[0], values[0]):
                continue
            for name, index in indexes.items():
                draws = np.array([index(benefits) for benefits in usable])
                rows.append(_row(tier, f"{metric} {name}", pair, draws))
    return rows


def prediction_distances(
    tier: str,
    probabilities: FloatArray,
    groups: Groups,
    clusters: npt.NDArray[np.generic],
    *,
    n_resamples: int = 400,
    seed: int = 0,
    minimum_clusters: int = MINIMUM_CLUSTERS,
) -> list[GroupMetric]:
    """LiFT's distances between each group's expected predictions and all rows', with intervals.

    A group's observed distribution are its expected positives and negatives (sums of p and of
    1 - p); the reference those of all rows with a group. A group that a tenth of the resamples
    or more miss is left out. No p-value: a distance is never below 0.

    Source: LiFT model fairness on (score, protected attribute) counts.
    """
    numbers, n_clusters = cluster_numbers(clusters, len(groups))
    rows = []
    for attribute in attributes_of(groups):
        shape = (n_clusters, len(attribute.groups))
        sums = sums_by_cluster(probabilities, 1.0 - probabilities, numbers, attribute.codes, shape)
        blocks = weight_blocks(n_clusters, len(groups), n_resamples=n_resamples, seed=seed)
        counts = np.concatenate(
            [np.stack([w.T @ sums.denominator, w.T @ sums.numerator], axis=2) for w in blocks]
        )
        for code in np.flatnonzero(clusters_by_group(attribute, numbers) >= minimum_clusters):
            pair = f"{attribute.label(int(code))} - all"
            # A resample may miss a small group, which then has no distribution to compare.
            drawn = counts[counts[:, code].sum(axis=1) > 0]
            if len(drawn) < 0.9 * len(counts):
                continue
            for name, distance in DISTANCES.items():
                draws = np.array(
                    [
                        distance(dict(enumerate(draw[code])), dict(enumerate(draw.sum(0))))
                        for draw in drawn
                    ]
                )
                rows.append(_row(tier, name, pair, draws))
    return rows


def _row(tier: str, name: str, pair: str, draws: FloatArray) -> GroupMetric:
    """The first draw is the data as they are; the rest are resamples."""
    low, high = np.percentile(draws[1:], [2.5, 97.5])
    return GroupMetric(tier, name, pair, float(draws[0]), float(low), float(high), None)
