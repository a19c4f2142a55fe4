"""What equality of opportunity for rankings would change, and what it would cost.

The maps are fitted on clicks that the report does not use; distance, NDCG and click AUC are
then measured on rows that fitted nothing, before and after, paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.core.click_splits import asker_of
from tasks.core.fairness.attributes import Groups
from tasks.core.fairness.evidence import MEMBER, Evidence, row_groups
from tasks.core.fairness.mitigation import (
    EqualOpportunityMap,
    fit_equal_opportunity,
    positive_distance,
)
from tasks.core.intervals import bootstrap_mean, bootstrap_statistic, number_clusters
from tasks.core.ranking import ndcg_at_10, weighted_auc
from tasks.core.tables import Row

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClickedRows:
    """Impressions with a score (n,), 0/1 clicks, weights 1 / propensity, groups and members."""

    scores: FloatArray
    clicked: FloatArray
    weights: FloatArray
    groups: Groups
    members: Sequence[str]

    def values_of(self, attribute: str) -> list[str | None]:
        return [row.get(attribute) for row in self.groups]


@dataclass(frozen=True)
class GradedRows:
    """Golden pairs with a score (n,), grades and groups, in lists by query and member."""

    scores: FloatArray
    grades: npt.NDArray[np.int64]
    groups: Groups
    query_ids: list[str]
    doc_ids: list[str]
    member_ids: list[str]


def fit_mitigation(evidence: Evidence, *, minimum_positives: int) -> list[EqualOpportunityMap]:
    """Maps of the served value for every attribute of documents with two groups of enough clicks.

    They are fitted on the impressions that fitted the effects, and none where there are no such.
    Members' groups never meet in one list, so that mending them changes no list.
    """
    if evidence.personal is None:
        return []
    tier, personal = evidence.tiers[evidence.served], evidence.personal
    values = tier.value(personal.logits[: len(personal.fitting)])
    fitting = _clicked_rows(evidence, personal.fitting, values)
    names = attributes_to_mend(fitting, minimum_positives=minimum_positives)
    return [mend(fitting, name, minimum_positives=minimum_positives) for name in names]


def measure_mitigation(
    evidence: Evidence,
    maps: Sequence[EqualOpportunityMap],
    dials: Sequence[float],
    *,
    applied: EqualOpportunityMap | None,
    n_resamples: int,
) -> dict[str, Any] | None:
    """The served value mended by each map, and what that costs; `applied` is the one that serves.

    None without maps, or where no impression holds a click to measure them by.
    """
    personal = evidence.personal
    if not maps or personal is None or len({row["clicked"] for row in evidence.shown}) < 2:
        return None
    tier = evidence.tiers[evidence.served]
    shown = _clicked_rows(evidence, evidence.shown, tier.value(tier.shown))
    graded = _graded_rows(evidence, tier.value(tier.sealed))
    measured = sorted({*dials, *([applied.dial] if applied else [])})
    costs = [mitigation_cost(one, shown, graded, measured, n_resamples=n_resamples) for one in maps]
    return {
        "method": "equality of opportunity for rankings",
        "score": "the served value, half relevance and half probability of a click",
        "applied": {"attribute": applied.attribute, "dial": applied.dial} if applied else False,
        "clicks_fitted": sum(row["clicked"] for row in personal.fitting),
        "attributes": costs,
    }


def _clicked_rows(evidence: Evidence, rows: Sequence[Row], scores: FloatArray) -> ClickedRows:
    return ClickedRows(
        scores,
        np.array([row["clicked"] for row in rows], dtype=np.float64),
        np.array([row["weight"] for row in rows], dtype=np.float64),
        row_groups(evidence.catalog, rows),
        [asker_of(row) for row in rows],
    )


def _graded_rows(evidence: Evidence, scores: FloatArray) -> GradedRows:
    rows = evidence.sealed
    return GradedRows(
        scores,
        np.array([row["grade"] for row in rows]),
        evidence.sealed_groups,
        [row["query_id"] for row in rows],
        [row["doc_id"] for row in rows],
        [row["member_id"] or "" for row in rows],
    )


def attributes_to_mend(fitting: ClickedRows, *, minimum_positives: int) -> list[str]:
    """Attributes of documents with two groups of enough clicks to fit maps for."""
    names = sorted({name for row in fitting.groups for name in row if not name.startswith(MEMBER)})
    found = []
    for name in names:
        clicked = [v for v, c in zip(fitting.values_of(name), fitting.clicked, strict=True) if c]
        sizes = [clicked.count(value) for value in set(clicked) - {None}]
        if sum(size >= minimum_positives for size in sizes) > 1:
            found.append(name)
    return found


def mend(fitting: ClickedRows, attribute: str, *, minimum_positives: int) -> EqualOpportunityMap:
    """Maps of one attribute's groups, clicks weighted against position bias."""
    return fit_equal_opportunity(
        fitting.scores,
        fitting.clicked == 1,
        fitting.values_of(attribute),
        attribute=attribute,
        weights=fitting.weights,
        minimum_positives=minimum_positives,
    )


def mitigation_cost(
    fitted: EqualOpportunityMap,
    shown: ClickedRows,
    graded: GradedRows,
    dials: Sequence[float],
    *,
    n_resamples: int,
    seed: int = 0,
) -> dict[str, Any]:
    """Distances between the groups' clicked documents before and at each dial, and the cost.

    A distance is the squared Wasserstein-2 of `positive_distance`; 0 is equality of
    opportunity. Costs are after minus before, NDCG@10 by query, click AUC by member.
    """
    members = number_clusters(list(shown.members))
    values, mapped = shown.values_of(fitted.attribute), set(fitted.knots)
    graded_values = [row.get(fitted.attribute) for row in graded.groups]
    before = _ndcg(graded, graded.scores)

    def at(dial: float) -> dict[str, Any]:
        served = fitted.with_dial(dial)
        mended = served.apply(shown.scores, values)
        change = _ndcg(graded, served.apply(graded.scores, graded_values)) - before

        def auc_change(weights: FloatArray) -> float:
            new, old = (
                weighted_auc(shown.clicked, scores, weights) for scores in (mended, shown.scores)
            )
            return new - old

        auc = bootstrap_statistic(auc_change, members, n_resamples=n_resamples, seed=seed)
        return {
            "dial": dial,
            "positive_distance": _distances(shown, mended, values, mapped),
            "ndcg_at_10_change": bootstrap_mean(change, n_resamples=n_resamples).to_json(),
            "click_auc_change": auc.to_json(),
        }

    return {
        "attribute": fitted.attribute,
        "positive_distance_before": _distances(shown, shown.scores, values, mapped),
        "dials": [at(dial) for dial in dials],
    }


def _distances(
    shown: ClickedRows, scores: FloatArray, values: Sequence[str | None], mapped: set[str]
) -> Mapping[str, float]:
    """Between the groups that have a map, named as everywhere: `first - second`."""
    known = [value if value in mapped else None for value in values]
    found = positive_distance(scores, shown.clicked == 1, known, weights=shown.weights)
    return {f"{first} - {second}": distance for (first, second), distance in found.items()}


def _ndcg(graded: GradedRows, scores: FloatArray) -> FloatArray:
    return ndcg_at_10(
        graded.query_ids, graded.doc_ids, graded.grades, scores, graded.member_ids
    ).values
