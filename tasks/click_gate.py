"""Clicks at the gate: what a candidate makes of them, what it gains, what it would lose.

They are of members that calibrate, whom no model learned from.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.core.click_splits import asker_of
from tasks.core.domain.catalog import Catalog
from tasks.core.intervals import Interval, bootstrap_statistic, number_clusters
from tasks.core.promotion import Lost
from tasks.core.ranking import weighted_auc
from tasks.core.store.artifacts import Artifact, Workbench
from tasks.core.store.versions import Model
from tasks.core.tables import Row, read_table, write_table
from tasks.core.training.scorer import (
    CARD,
    Goal,
    PairScorer,
    goals_of,
    grade_probabilities,
    relevance,
)
from tasks.exchange import EFFECTS, SCORER, Domain, shown_rows

# Scores of the impressions that calibrate, in their order; absent without such clicks.
CLICKS = "clicks.parquet"


def write_clicks(
    bench: Workbench, domain: Domain, impressions: Artifact | None, scorer: Path
) -> float | None:
    """What calibrating members' impressions are ranked by; its AUC, None with nothing to tell.

    That is the logit of a click, or relevance where the scorer was taught nothing else.
    """
    rows = shown_rows(impressions, "calibrate")
    loaded, clicked = PairScorer.load(scorer, for_scoring=True), _clicked(rows)
    if not loaded.outputs.actions or not 0 < clicked.sum() < len(clicked):
        return None
    pairs = Catalog.load(domain.catalog.folder).pairs(loaded.template, rows)
    logits, grades = loaded.logits(pairs), loaded.outputs.grade_count
    scores = (
        logits[:, grades].astype(np.float64)
        if "actions" in loaded.taught
        else relevance(grade_probabilities(logits, grades))
    )
    write_table(bench.out / CLICKS, {"score": scores})
    return weighted_auc(clicked, scores, np.ones(len(rows)))


def click_gain(
    impressions: Artifact | None, mine: Artifact, theirs: Artifact, *, n_resamples: int, seed: int
) -> Interval | None:
    """Of click AUC, resampled by member; None where there are no such clicks to rank."""
    if not (mine.file(CLICKS).is_file() and theirs.file(CLICKS).is_file()):
        return None
    rows = shown_rows(impressions, "calibrate")
    ours, others = (np.array(read_table(one.file(CLICKS))["score"]) for one in (mine, theirs))
    clicked = _clicked(rows)
    return bootstrap_statistic(
        lambda w: weighted_auc(clicked, ours, w) - weighted_auc(clicked, others, w),
        number_clusters([asker_of(row) for row in rows]),
        n_resamples=n_resamples,
        seed=seed,
    )


def lost_clicks(
    served: Model, *, actions: Sequence[str], taught: Sequence[Goal], has_effects: bool
) -> Lost | None:
    """What the model in service learned from clicks, and the candidate could or should not.

    Both are asked for their outputs, not for figures of today: on the day the log is missing
    neither has any, and members who calibrate may not have clicked at all. Outputs of actions
    that were taught none tell that the log was there, and relevance alone was chosen; what that
    costs in clicks the gate measures, but no figure tells that it ends personal effects.
    """
    card = json.loads((served.file(SCORER) / CARD).read_text(encoding="utf-8"))
    lacks = {
        "clicks": card["actions"] and "actions" in goals_of(card) and not actions,
        "personal effects": served.file(EFFECTS).is_dir() and not has_effects,
    }
    names = tuple(name for name, missing in lacks.items() if missing)
    by_choice = bool(actions) and "actions" not in taught
    return Lost(names, by_choice=by_choice) if names else None


def _clicked(rows: list[Row]) -> npt.NDArray[np.float64]:
    return np.array([row["clicked"] for row in rows], dtype=np.float64)
