"""What labels and clicks already hold against a group, before anything trains on them."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from tasks.core.fairness.attributes import Attribute, Groups, attributes_of
from tasks.core.fairness.distances import (
    demographic_parity,
    infinity_norm_distance,
    js_divergence,
    kl_divergence,
    label_counts,
    maximum_skew,
    minimum_skew,
    total_variation_distance,
)
from tasks.core.fairness.inequality import coefficient_of_variation, theil_l_index, theil_t_index

FloatArray = npt.NDArray[np.float64]

# Fewer rows than this say little about a rate: such a group is not compared.
MINIMUM_ROWS = 50

Counted = dict[tuple[str, float], float]

_DISTANCES = {
    "total_variation_distance": total_variation_distance,
    "infinity_norm_distance": infinity_norm_distance,
    "js_divergence": js_divergence,
    "kl_divergence": kl_divergence,
}
_INDEXES = {
    "theil_t_index": theil_t_index,
    "theil_l_index": theil_l_index,
    "coefficient_of_variation": coefficient_of_variation,
}


@dataclass(frozen=True)
class DatasetMetric:
    """A row of the report's dataset_fairness."""

    name: str
    group_pair: str
    value: float


def dataset_fairness(
    labels: FloatArray,
    groups: Groups,
    *,
    target: str = "grade",
    positive_from: float = 1.0,
    minimum_rows: int = MINIMUM_ROWS,
) -> list[DatasetMetric]:
    """Every dataset measure of LiFT for each attribute of `groups`, one entry a row.

    Per two groups: the distances between their distributions of `labels`, and demographic
    parity, signed (first group's positive rate minus second's). Per attribute: the inequality
    of the positive rates, and the least and largest skew of (group, label) counts against
    what groups and labels would share if they were independent. Names start with `target`,
    so that grades and clicks stay apart. Groups under `minimum_rows` rows are not compared.

    Source: LiFT dataset fairness; definitions in distances.py and inequality.py.
    """
    rows: list[DatasetMetric] = []
    for attribute in attributes_of(groups):
        kept = _large_enough(attribute, minimum_rows)
        names = np.array(attribute.groups)[attribute.codes[kept]]
        counts = label_counts(labels[kept], names)
        if len(np.unique(names)) > 1:
            rates = demographic_parity(_by_sign(counts, positive_from)).rates
            rows += _pair_rows(target, attribute.name, counts, rates)
            rows += _attribute_rows(target, attribute.name, counts, rates)
    return rows


def _large_enough(attribute: Attribute, minimum_rows: int) -> npt.NDArray[np.bool_]:
    known = attribute.codes >= 0
    sizes = np.bincount(attribute.codes[known], minlength=len(attribute.groups))
    return known & (sizes[attribute.codes] >= minimum_rows)


def _by_sign(counts: Counted, positive_from: float) -> dict[tuple[str, int], float]:
    signed: dict[tuple[str, int], float] = {}
    for (group, label), n in counts.items():
        key = (group, int(label >= positive_from))
        signed[key] = signed.get(key, 0.0) + n
    return signed


def _pair_rows(
    target: str, attribute: str, counts: Counted, rates: dict[str, float]
) -> list[DatasetMetric]:
    rows = []
    for first, second in combinations(rates, 2):
        pair = f"{attribute}: {first} - {second}"
        sides = [
            {label: n for (group, label), n in counts.items() if group == name}
            for name in (first, second)
        ]
        rows += [
            DatasetMetric(f"{target} {name}", pair, distance(*sides))
            for name, distance in _DISTANCES.items()
        ]
        gap = rates[first] - rates[second]
        rows.append(DatasetMetric(f"{target} demographic_parity", pair, gap))
    return rows


def _attribute_rows(
    target: str, attribute: str, counts: Counted, rates: dict[str, float]
) -> list[DatasetMetric]:
    rows = []
    values = np.array(list(rates.values()))
    if values.any():
        rows += [
            DatasetMetric(f"{target} {name}", f"{attribute}: all groups", index(values))
            for name, index in _INDEXES.items()
        ]
    expected = _independent(counts)
    for name, extreme in (("minimum_skew", minimum_skew), ("maximum_skew", maximum_skew)):
        (group, label), skew = extreme(counts, expected)
        rows.append(DatasetMetric(f"{target} {name}", f"{attribute}: {group}, {label:g}", skew))
    return rows


def _independent(counts: Counted) -> Counted:
    """Counts with the same totals by group and by label, and no tie between the two."""
    groups = sorted({group for group, _ in counts})
    labels = sorted({label for _, label in counts})
    table = np.array([[counts.get((g, y), 0.0) for y in labels] for g in groups])
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    return {(g, y): expected[i, j] for i, g in enumerate(groups) for j, y in enumerate(labels)}
