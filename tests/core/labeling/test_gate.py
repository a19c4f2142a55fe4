"""The gate opens for a judge that agrees with people, and stays shut for anything else."""

import json

import numpy as np
import pytest

from tasks.core.labeling.gate import Verdict, judge_verdict

GENERATOR = np.random.default_rng(0)
QUERIES = np.arange(400) // 10
HUMAN = GENERATOR.integers(0, 4, 400)
RATERS = np.stack(
    [np.clip(HUMAN + GENERATOR.choice([-1, 0, 0, 0, 1], 400), 0, 3) for _ in range(3)], axis=1
)
GOOD = np.clip(HUMAN + GENERATOR.choice([-1, 0, 0, 0, 1], 400), 0, 3)


def verdict(judge: np.ndarray, **changes: float) -> Verdict:
    floors = {"floor_kappa": 0.5, "floor_human_share": 0.8} | changes
    return judge_verdict(HUMAN, judge, RATERS.astype(float), QUERIES, grade_count=4, **floors)


def test_a_judge_as_good_as_people_passes() -> None:
    assert verdict(GOOD).passed


def test_chance_does_not_pass() -> None:
    assert not verdict(GENERATOR.integers(0, 4, 400)).passed


def test_the_share_of_human_kappa_can_be_the_higher_floor() -> None:
    result = verdict(GOOD, floor_human_share=1.3)
    assert result.human_kappa is not None
    assert result.floor == pytest.approx(1.3 * result.human_kappa)
    assert not result.passed


def test_an_over_generous_judge_shows_in_bias_and_confusion() -> None:
    result = verdict(np.minimum(HUMAN + 1, 3))
    assert result.bias > 0.5
    assert np.tril(np.array(result.confusion), k=-1).sum() == 0


def test_a_judge_of_one_grade_is_not_excused() -> None:
    result = judge_verdict(
        [2] * 20, [2] * 20, None, range(20), grade_count=4, floor_kappa=0.0, floor_human_share=0.0
    )
    assert not result.passed
    assert "cannot be measured" in result.reason


def test_three_queries_decide_nothing() -> None:
    result = judge_verdict(
        HUMAN[:30], HUMAN[:30], None, QUERIES[:30],
        grade_count=4, floor_kappa=0.1, floor_human_share=0.0,
    )  # fmt: skip
    assert not result.passed
    assert "3 queries" in result.reason


def test_a_blind_spot_shows_in_its_dimension() -> None:
    place = GENERATOR.integers(0, 4, 400).astype(float)
    place[:50] = np.nan
    result = judge_verdict(
        HUMAN, GOOD, None, QUERIES, grade_count=4, floor_kappa=0.5, floor_human_share=0.8,
        dimension_grades={"NEED": (HUMAN, GOOD), "PLACE": (place, np.full(400, 2.0))},
    )  # fmt: skip
    assert result.dimension_kappas["NEED"] > 0.7
    assert result.dimension_kappas["PLACE"] == pytest.approx(0.0, abs=1e-9)


def test_the_verdict_is_plain_json() -> None:
    restored = json.loads(json.dumps(verdict(GOOD).to_json()))
    assert restored["kappa"]["n"] == 40
