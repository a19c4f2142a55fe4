"""A mix of goals is held to the students of one goal, on what taught none of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import ndcg_score, roc_auc_score

from tasks.compare_goals import compare_goals
from tasks.core.domain.catalog import Catalog
from tasks.core.intervals import Interval
from tasks.core.promotion import SingleGoal
from tasks.core.store.artifacts import Artifact
from tasks.core.tables import columns_of, write_table
from tasks.core.training.scorer import GOALS, Goal, PairScorer
from tasks.exchange import GOLDEN, IMPRESSIONS, SCORER, SINGLE_GOALS, Domain
from tasks.promote import _single_goals
from tasks.run import open_run
from tasks.settings import EvaluationSettings
from tests.core.training.tiny import lively_scorer
from tests.test_distill import made
from tests.test_people_grades import golden, write_catalog

SETTINGS = EvaluationSettings(n_resamples=100)
STEP: Any = compare_goals
Compared = tuple[Artifact | None, dict[str, PairScorer], Artifact]


def impressions() -> list[dict[str, Any]]:
    """Of gate queries, one member each; on held-out rows all the other documents are clicked."""
    shown = [row for row in golden() if row["split"] == "gate"]
    return [
        {"query_id": row["query_id"], "query": row["query"], "member_id": row["query_id"]}
        | {"doc_id": row["doc_id"], "clicked": (row["grade"] == 1) == (use == "calibrate")}
        | {"weight": 1.0, "use": use}
        for use in ("calibrate", "held_out")
        for row in shown
    ]


def scorer_of(taught: tuple[Goal, ...], seed: int) -> PairScorer:
    scorer = lively_scorer("random_encoder", actions=("clicked",))
    scorer.taught = taught
    weights = scorer.model.classifier.weight.data
    weights.copy_(weights.roll(seed, 1))  # each orders in its own way
    return scorer


@pytest.fixture
def compared(tmp_path: Path) -> Any:
    def run(taught: tuple[Goal, ...] = GOALS, *, clicks: bool = True) -> Compared:
        scorers = {
            "student": scorer_of(taught, 0),
            "policy_only": scorer_of(("grades",), 5),
            "click_only": scorer_of(("actions",), 9),
        }
        rows = impressions() if clicks else [row | {"clicked": False} for row in impressions()]
        with open_run(tmp_path / f"{clicks}", "toy"):
            grades = made("golden", lambda out: write_table(out / GOLDEN, columns_of(golden())))
            log = made("impressions", lambda out: write_table(out / IMPRESSIONS, columns_of(rows)))
            catalog = made("catalog", write_catalog)
            models = {
                name: made(name, lambda out, one=one: one.save(out / SCORER))
                for name, one in scorers.items()
            }
            domain = Domain(grades, grades, catalog, None, log, None)
            serving = {
                name: PairScorer.load(model.file(SCORER), for_scoring=True)
                for name, model in models.items()
            }
            student = models.pop("student")
            return STEP.fn(domain, student, models, log, SETTINGS), serving, catalog

    return run


def test_the_gains_are_those_of_the_gate_and_of_calibrating_members_by_what_each_was_taught(
    compared: Any,
) -> None:
    """The student of clicks alone ranks by clicks everywhere, that of relevance by relevance."""
    found, scorers, catalog = compared()
    documents = Catalog.load(catalog.folder)
    gate = [row for row in golden() if row["split"] == "gate"]
    shown = [row for row in impressions() if row["use"] == "calibrate"]

    def ranked(name: str, rows: list[dict[str, Any]], goal: Goal) -> np.ndarray:
        scorer = scorers[name]
        logits = scorer.logits(documents.pairs(scorer.template, rows)).astype(np.float64)
        by = goal if goal in scorer.taught else scorer.taught[0]
        chances = np.exp(logits[:, :3]) / np.exp(logits[:, :3]).sum(1, keepdims=True)
        return logits[:, 3] if by == "actions" else chances @ [0, 1, 2]

    def ndcg(name: str) -> float:
        gains = np.array([2.0 ** row["grade"] - 1 for row in gate]).reshape(-1, 3)
        return float(ndcg_score(gains, ranked(name, gate, "grades").reshape(-1, 3)))

    def auc(name: str) -> float:
        clicked = [row["clicked"] for row in shown]
        return float(roc_auc_score(clicked, ranked(name, shown, "actions")))

    assert found is not None
    gains = found.json(SINGLE_GOALS)
    assert set(gains) == {"policy_only", "click_only"}
    for name, gain in gains.items():
        assert gain["ndcg_at_10"]["value"] == pytest.approx(ndcg("student") - ndcg(name), abs=1e-6)
        assert gain["click_auc"]["value"] == pytest.approx(auc("student") - auc(name), abs=1e-6)
        assert gain["ndcg_at_10"]["n"] == gain["click_auc"]["n"] == 5
        assert gain["ndcg_at_10"]["value"] != 0
    assert gains["click_only"]["click_auc"]["value"] != 0


def test_a_student_of_one_goal_is_held_to_none(compared: Any) -> None:
    assert compared(("grades",))[0] is None


def test_the_verdict_names_the_goals_and_clicks_that_cannot_be_told_are_no_figure(
    compared: Any,
) -> None:
    found, *_ = compared()
    gains = found.json(SINGLE_GOALS)
    assert _single_goals(found) == tuple(
        SingleGoal(
            goal, Interval(**gains[name]["ndcg_at_10"]), Interval(**gains[name]["click_auc"])
        )
        for name, goal in (("policy_only", "the policy teacher"), ("click_only", "clicks"))
    )
    assert _single_goals(None) == ()
    blind, *_ = compared(clicks=False)
    assert [one.clicks for one in _single_goals(blind)] == [None, None]
