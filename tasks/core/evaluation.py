"""One yardstick for every tier: relevance on golden queries, clicks on members held out.

A tier is measured on a goal by the output that was taught it; a scorer of one goal ranks for
the other by the output it has. So a click-only student has an NDCG, and it is comparable.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.core.click_splits import asker_of
from tasks.core.inputs import PairText
from tasks.core.intervals import (
    Interval,
    bootstrap_mean,
    bootstrap_ratio,
    bootstrap_statistic,
    number_clusters,
)
from tasks.core.labeling.agreement import weighted_kappa
from tasks.core.ranking import (
    QueryScores,
    ndcg_at_10,
    precision_at_10,
    random_ndcg_at_10,
    reciprocal_rank,
    weighted_auc,
)
from tasks.core.tables import Row
from tasks.core.training.scorer import (
    Outputs,
    PairScorer,
    grade_probabilities,
    relevance,
    single_grades,
)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Yardstick:
    """The rows every tier is measured on: graded pairs and impressions, as arrays."""

    query_ids: list[str]
    member_ids: list[str]
    doc_ids: list[str]
    grades: npt.NDArray[np.int64]
    actions: dict[str, Floats]
    weights: Floats
    members: npt.NDArray[np.int64]
    n_resamples: int

    @classmethod
    def of(
        cls, golden: Sequence[Row], shown: Sequence[Row], actions: Sequence[str], n_resamples: int
    ) -> "Yardstick":
        return cls(
            [row["query_id"] for row in golden],
            [row["member_id"] or "" for row in golden],
            [row["doc_id"] for row in golden],
            np.array([row["grade"] for row in golden]),
            {name: np.array([row[name] for row in shown], dtype=np.float64) for name in actions},
            np.array([row["weight"] for row in shown], dtype=np.float64),
            number_clusters([asker_of(row) for row in shown] or [""]),
            n_resamples,
        )

    @property
    def has_clicks(self) -> bool:
        """Whether an action can be told from none: both happened on the held-out rows."""
        return bool(self.actions) and 0 < self.actions["clicked"].sum() < len(self.weights)

    def ndcg(self, scores: Floats) -> QueryScores:
        return ndcg_at_10(self.query_ids, self.doc_ids, self.grades, scores, self.member_ids)

    def chance(self) -> QueryScores:
        """NDCG@10 that a random order is expected to have."""
        return random_ndcg_at_10(self.query_ids, self.grades, self.member_ids)

    def ndcg_interval(self, scores: Floats) -> Interval:
        return bootstrap_mean(self.ndcg(scores).values, n_resamples=self.n_resamples)

    def auc(self, action: str, scores: Floats) -> Interval | None:
        """Area under the ROC curve of one action, resampled by member."""
        taken = self.actions[action]
        if not 0 < taken.sum() < len(taken):
            return None
        return self.by_member(lambda w: weighted_auc(taken, scores, w))

    def by_member(self, statistic: Callable[[Floats], float]) -> Interval:
        """Interval of a statistic of the impressions' weights, resampled by member."""
        return bootstrap_statistic(statistic, self.members, n_resamples=self.n_resamples)


@dataclass(frozen=True)
class Scored:
    """One ranker's scores on the yardstick: on graded pairs, and by action on impressions."""

    on_golden: Floats
    on_clicks: dict[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class TierLogits:
    """A tier's raw logits (rows, outputs) on graded pairs and impressions, and its calibration."""

    golden: npt.NDArray[np.float32]
    shown: npt.NDArray[np.float32]
    outputs: Outputs
    knows_grades: bool
    knows_actions: bool
    calibration: Mapping[str, Any]
    grade_cuts: Sequence[float] | None = None

    @classmethod
    def of(
        cls, scorer: PairScorer, golden: Sequence[PairText], shown: Sequence[PairText]
    ) -> "TierLogits":
        """Those of a scorer that is compared with others before any of them is calibrated."""
        logits = scorer.logits([*golden, *shown])
        return cls(
            golden=logits[: len(golden)],
            shown=logits[len(golden) :],
            outputs=scorer.outputs,
            knows_grades="grades" in scorer.taught,
            knows_actions="actions" in scorer.taught,
            calibration={},
        )

    def scored(self) -> Scored:
        """What it ranks by when it serves, for each goal: a temperature moves expected grades."""
        grades, temperature = self.outputs.grade_count, self.calibration.get("temperature", 1.0)
        golden, shown = (
            relevance(grade_probabilities(rows, grades, temperature=temperature))
            if self.knows_grades
            else rows[:, grades].astype(np.float64)
            for rows in (self.golden, self.shown)
        )
        by_action = {
            name: self.shown[:, grades + column].astype(np.float64) if self.knows_actions else shown
            for column, name in enumerate(self.outputs.actions)
        }
        return Scored(golden, by_action)


def golden_figures(yardstick: Yardstick, tier: TierLogits) -> dict[str, Any]:
    """The report's golden part of a tier; kappa of the single grade, null if not taught.

    For the mean reciprocal rank and precision the middle grade and those above are relevant.
    """
    scores = tier.scored().on_golden
    interval = yardstick.ndcg_interval(scores)
    grades = tier.outputs.grade_count
    kappa = None
    if tier.knows_grades:
        graded = single_grades(grade_probabilities(tier.golden, grades), tier.grade_cuts)
        kappa = weighted_kappa(yardstick.grades, graded, grades)
    left_out = yardstick.ndcg(scores).left_out
    relevant = yardstick.grades >= grades // 2
    ranked = (yardstick.query_ids, yardstick.doc_ids, relevant, scores, yardstick.member_ids)
    return {
        "kappa": kappa,
        "ndcg_at_10": interval.value,
        "low": interval.low,
        "high": interval.high,
        "n_queries": interval.n,
        "queries_left_out": left_out,
        "mrr": _mean(reciprocal_rank(*ranked)),
        "precision_at_10": _mean(precision_at_10(*ranked)),
    }


def _mean(found: QueryScores) -> float | None:
    """None where no query has a relevant candidate."""
    return found.mean if len(found.values) else None


def click_figures(yardstick: Yardstick, scored: Scored) -> dict[str, Any] | None:
    """Area under the ROC curve by action, with intervals by member."""
    if not yardstick.has_clicks:
        return None
    aucs = {name: yardstick.auc(name, scores) for name, scores in scored.on_clicks.items()}
    return {name: auc.to_json() if auc else None for name, auc in aucs.items()}


def kept_figures(
    yardstick: Yardstick, tier: Scored, policy_teacher: Scored, click_teacher: Scored | None
) -> dict[str, Any]:
    """Shares of the teacher of each goal, paired by query and by member."""
    ours = yardstick.ndcg(tier.on_golden).values
    theirs = yardstick.ndcg(policy_teacher.on_golden).values
    chance = yardstick.chance().values
    n = yardstick.n_resamples
    kept = {
        "ndcg_at_10": bootstrap_ratio(ours, theirs, n_resamples=n).to_json(),
        "ndcg_chance_corrected": _known(
            bootstrap_ratio(_above(ours, chance), _above(theirs, chance), n_resamples=n)
        ),
        "click_auc": None,
    }
    if click_teacher is not None and yardstick.has_clicks:
        kept["click_auc"] = _kept_auc(yardstick, "clicked", tier, click_teacher)
    return kept


def kept_of_rarer_actions(
    yardstick: Yardstick, tier: Scored, click_teacher: Scored | None
) -> dict[str, Any]:
    """Shares of the click teacher's AUC by action, clicks left out; None where nobody took it."""
    rarer = [name for name in yardstick.actions if name != "clicked"]
    if click_teacher is None:
        return dict.fromkeys(rarer)
    return {name: _kept_auc(yardstick, name, tier, click_teacher) for name in rarer}


def _kept_auc(
    yardstick: Yardstick, action: str, tier: Scored, teacher: Scored
) -> dict[str, Any] | None:
    taken = yardstick.actions[action]
    if not 0 < taken.sum() < len(taken):
        return None
    mine, best = tier.on_clicks[action], teacher.on_clicks[action]

    def share(weights: Floats) -> float:
        # A resample of few such actions may rank them all last: there is no share of nothing.
        whole = weighted_auc(taken, best, weights)
        return weighted_auc(taken, mine, weights) / whole if whole else float("nan")

    return _known(yardstick.by_member(share))


def _above(ours: Floats, chance: Floats) -> Floats:
    """The difference; none where it is rounding, on queries whose every order is the best one."""
    difference = ours - chance
    return np.where(np.abs(difference) < 1e-12, 0.0, difference)


def _known(share: Interval) -> dict[str, Any] | None:
    """None of a share of nothing: of a teacher that is no better than chance, exactly."""
    return share.to_json() if np.isfinite([share.value, share.low, share.high]).all() else None


def paired_gain(yardstick: Yardstick, ours: Scored, theirs: Scored) -> dict[str, Any]:
    """Differences ours - theirs in NDCG@10 and click AUC, paired, with intervals."""
    difference = yardstick.ndcg(ours.on_golden).values - yardstick.ndcg(theirs.on_golden).values
    result: dict[str, Any] = {
        "ndcg_at_10": bootstrap_mean(difference, n_resamples=yardstick.n_resamples).to_json(),
        "click_auc": None,
    }
    if yardstick.has_clicks:
        clicked = yardstick.actions["clicked"]
        mine, other = ours.on_clicks["clicked"], theirs.on_clicks["clicked"]
        result["click_auc"] = yardstick.by_member(
            lambda w: weighted_auc(clicked, mine, w) - weighted_auc(clicked, other, w)
        ).to_json()
    return result
