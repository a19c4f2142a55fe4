"""Gaps between groups at the judge, at every tier and with effects, and where they grew."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from tasks.core.click_splits import asker_of
from tasks.core.fairness.evidence import Evidence, row_groups
from tasks.core.fairness.family import Family
from tasks.core.fairness.gaps import GroupMetric
from tasks.core.fairness.ladder import GapGrowth
from tasks.core.tables import Row

# Tiers whose relevance output was taught, and those whose click output was.
RELEVANCE = ("policy_teacher", "assistant", "student", "pruned_student")
CLICKS = ("click_teacher", "assistant", "student", "pruned_student")
STUDENTS = ("assistant", "student", "pruned_student")
CLICK_METRICS = ("demographic_parity", "calibration", "auc", "exposure")
PERSONALIZED = "personalized"


class Resampling(TypedDict):
    """How intervals are made, and which groups are too small for one."""

    n_resamples: int
    seed: int
    minimum_clusters: int


@dataclass(frozen=True)
class Comparisons:
    """Rows for the report and for the promotion's gate.

    `gaps` are on sealed pairs and held-out impressions, but for the judge, who is measured on
    the gate pairs, and for the effects, on later impressions; `gate` are the served tier's
    gaps on the gate pairs.
    """

    gaps: list[GroupMetric]
    growth: list[GapGrowth]
    gate: list[GroupMetric]


def compare_groups(evidence: Evidence, how: Resampling) -> Comparisons:
    """Every gap, and every tier's beside that of the tier it learned from.

    Each family of rows is corrected by itself: relevance on sealed pairs, on gate pairs, clicks
    of held-out members, clicks with effects.
    """
    sealed, gate = _on_sealed(evidence, how), _on_gate(evidence, how)
    growth = gate.growth({"policy_teacher": "judge"})
    growth += sealed.growth(dict.fromkeys(STUDENTS, "policy_teacher"))
    on_gate = gate.gaps()
    gaps = _of(on_gate, "judge")
    if evidence.personal is not None:
        later = _with_effects(evidence, how)
        growth += later.growth({PERSONALIZED: evidence.served})
        gaps += _of(later.gaps(), PERSONALIZED)
    if evidence.shown:
        clicks = _on_clicks(evidence, how)
        growth += clicks.growth(dict.fromkeys(STUDENTS, "click_teacher"))
        gaps += clicks.gaps()
    return Comparisons(gaps + sealed.gaps(), growth, _of(on_gate, evidence.served))


def _on_sealed(evidence: Evidence, how: Resampling) -> Family:
    family = _graded(evidence, evidence.sealed, how)
    for role in (role for role in RELEVANCE if role in evidence.tiers):
        tier = evidence.tiers[role]
        family.add(role, tier.relevance(tier.sealed))
    return family


def _on_gate(evidence: Evidence, how: Resampling) -> Family:
    """On the pairs that every one of them graded."""
    scores = evidence.gate_scores
    whole = np.flatnonzero(np.isfinite(np.array(list(scores.values()))).all(axis=0))
    family = _graded(evidence, [evidence.gate[i] for i in whole], how)
    for tier, values in scores.items():
        family.add(tier, values[whole])
    return family


def _on_clicks(evidence: Evidence, how: Resampling) -> Family:
    family = _clicked(evidence, evidence.shown, how)
    for role in (role for role in CLICKS if role in evidence.tiers):
        tier = evidence.tiers[role]
        family.add(role, tier.clicked(tier.shown))
    return family


def _with_effects(evidence: Evidence, how: Resampling) -> Family:
    personal, tier = evidence.personal, evidence.tiers[evidence.served]
    assert personal is not None
    family = _clicked(evidence, personal.later, how)
    family.add(evidence.served, tier.clicked(personal.logits[len(personal.fitting) :]))
    family.add(PERSONALIZED, tier.probability(personal.personal))
    return family


def _graded(evidence: Evidence, rows: Sequence[Row], how: Resampling) -> Family:
    queries = np.array([row["query_id"] for row in rows])
    grades = np.array([row["grade"] for row in rows], dtype=np.float64)
    return Family(
        grades,
        row_groups(evidence.catalog, rows),
        queries,
        queries,
        positive_from=float(evidence.middle_grade),
        # Relevance is the expected grade over the top one, and no chance of a good grade.
        targets=grades / evidence.top_grade,
        **how,
    )


def _clicked(evidence: Evidence, rows: Sequence[Row], how: Resampling) -> Family:
    clicked = np.array([row["clicked"] for row in rows], dtype=np.float64)
    return Family(
        clicked,
        row_groups(evidence.catalog, rows),
        np.array([asker_of(row) for row in rows]),
        np.array([row["impression_id"] for row in rows]),
        prefix="click_",
        metrics=CLICK_METRICS,
        # Predictions are of a click if looked at: a click far down counts for those not seen.
        targets=clicked * np.array([row["weight"] for row in rows]),
        **how,
    )


def _of(metrics: Iterable[GroupMetric], tier: str) -> list[GroupMetric]:
    return [metric for metric in metrics if metric.tier == tier]
