"""The served tier seen otherwise: every group's own figures, one figure for all, shuffled groups.

Gaps between pairs of groups are in `comparisons.py`; these stand beside them in the report.
"""

from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.core.fairness.attributes import (
    Groups,
    attributes_of,
    cluster_numbers,
    clusters_by_group,
)
from tasks.core.fairness.comparisons import Resampling
from tasks.core.fairness.evidence import Evidence
from tasks.core.fairness.group_tables import group_tables
from tasks.core.fairness.groups import values_by_group
from tasks.core.fairness.multiple_tests import corrected
from tasks.core.fairness.permutation import Metric, permutation_test
from tasks.core.fairness.spread import inequality_metrics, prediction_distances

FloatArray = npt.NDArray[np.float64]
# Benefits that a group has or lacks; their inequality is taken over all groups of an attribute.
BENEFITS = ("demographic_parity", "recall", "auc")
SPREAD_RESAMPLES = 200  # an index or a distance is summed up by its interval alone


def summarize_served(evidence: Evidence, how: Resampling) -> dict[str, Any]:
    """Tables, spread and permutation tests of the served tier's relevance on sealed pairs."""
    tier = evidence.tiers[evidence.served]
    scores = np.clip(tier.relevance(tier.sealed), 0.0, 1.0)
    grades = np.array([row["grade"] for row in evidence.sealed], dtype=np.float64)
    queries = np.array([row["query_id"] for row in evidence.sealed])
    groups, positive_from = evidence.sealed_groups, float(evidence.middle_grade)
    fewer: Resampling = {**how, "n_resamples": min(how["n_resamples"], SPREAD_RESAMPLES)}
    values = values_by_group(
        scores, grades, groups, queries,
        metrics=BENEFITS, positive_from=positive_from, **fewer,
    )  # fmt: skip
    spread = inequality_metrics(evidence.served, values)
    spread += prediction_distances(evidence.served, scores, groups, queries, **fewer)
    tables = group_tables(scores, grades, groups, positive_from=positive_from)
    return {
        "tables": [_without_nan(asdict(table)) for table in tables],
        "spread": [asdict(row) for row in spread],
        "permutation": permuted_recall(scores, grades >= positive_from, groups, queries, how),
    }


def permuted_recall(
    scores: FloatArray,
    positive: npt.NDArray[np.bool_],
    groups: Groups,
    clusters: npt.NDArray[np.generic],
    how: Resampling,
) -> list[dict[str, Any]]:
    """Whether shuffling two groups explains their gap in expected recall, pair by pair.

    p-values are corrected together by Holm; the standard error is that of the p as counted,
    from a finite number of shuffles.
    """
    numbers, _ = cluster_numbers(clusters, len(groups))
    found = []
    for attribute in attributes_of(groups):
        large = clusters_by_group(attribute, numbers) >= how["minimum_clusters"]
        for a, b in combinations(np.flatnonzero(large).tolist(), 2):
            rows = np.flatnonzero(positive & np.isin(attribute.codes, [a, b]))
            is_first, benefit = attribute.codes[rows] == a, scores[rows]
            if is_first.all() or not is_first.any():
                continue
            tested = permutation_test(
                _mean_of(benefit),
                is_first,
                clusters=numbers[rows],
                n_trials=how["n_resamples"],
                seed=how["seed"],
            )
            found.append(
                {
                    "metric": "recall",
                    "group_pair": attribute.pair(a, b),
                    "difference": tested.difference,
                    "p_value": tested.p_value,
                    "standard_error": tested.standard_error,
                    "shuffles": tested.n_trials,
                }
            )
    p_values = corrected(np.array([row["p_value"] for row in found]))
    return [row | {"p_value": p} for row, p in zip(found, p_values.tolist(), strict=True)]


def _mean_of(benefit: FloatArray) -> Metric:
    return lambda rows: float(benefit[rows].mean()) if len(rows) else float("nan")


def _without_nan(table: dict[str, Any]) -> dict[str, Any]:
    """NaN has no JSON form; a metric that a group lacks has no value."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(one) for name, one in value.items()}
        return None if isinstance(value, float) and not np.isfinite(value) else value

    return {name: plain(value) for name, value in table.items()}
