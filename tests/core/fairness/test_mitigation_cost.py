"""Mending a planted disparity: the distance falls, and the cost is what it is on other rows."""

from dataclasses import replace

import numpy as np
import pytest

from tasks.core.fairness.mitigation_cost import (
    ClickedRows,
    GradedRows,
    attributes_to_mend,
    mend,
    mitigation_cost,
)


def shown(n: int, seed: int, planted: float = 0.15) -> ClickedRows:
    rng = np.random.default_rng(seed)
    quality, small = rng.random(n), rng.random(n) < 0.4
    clicked = (rng.random(n) < 0.6 * quality).astype(float)
    scores = np.clip(0.2 + 0.7 * quality - planted * small, 0, 1)
    groups = [{"size": "small" if s else "large", "member age": "old"} for s in small]
    return ClickedRows(scores, clicked, np.ones(n), groups, [f"m{i % 80}" for i in range(n)])


def graded(n: int, planted: float = 0.15) -> GradedRows:
    rows = shown(n, seed=9, planted=planted)
    grades = np.random.default_rng(9).random(n) * 5
    return GradedRows(
        rows.scores, grades.astype(np.int64), rows.groups,
        [f"q{i // 10}" for i in range(n)], [f"d{i}" for i in range(n)], [""] * n,
    )  # fmt: skip


def test_only_documents_with_two_groups_of_enough_clicks_are_mended() -> None:
    rows = shown(600, seed=1)
    assert attributes_to_mend(rows, minimum_positives=20) == ["size"]
    assert attributes_to_mend(rows, minimum_positives=10_000) == []


def test_the_planted_distance_falls_with_the_dial_and_taking_it_away_costs_nothing() -> None:
    fitted = mend(shown(6000, seed=1), "size", minimum_positives=50)
    cost = mitigation_cost(fitted, shown(4000, seed=2), graded(1000), [0.5, 1.0], n_resamples=200)
    before = cost["positive_distance_before"]["large - small"]
    half, whole = (dial["positive_distance"]["large - small"] for dial in cost["dials"])
    assert before == pytest.approx(0.15**2, rel=0.3)
    assert half == pytest.approx(before / 4, rel=0.3)
    assert whole < 0.05 * before
    # The disparity told nothing about clicks: without it they are ranked better.
    assert cost["dials"][1]["click_auc_change"]["low"] > 0
    assert cost["dials"][1]["ndcg_at_10_change"]["value"] > 0


def test_members_who_share_a_query_are_ordered_apart() -> None:
    fitted = mend(shown(600, seed=1), "size", minimum_positives=50)
    apart = graded(1000)
    shared = replace(
        apart,
        query_ids=[f"q{i // 20}" for i in range(1000)],
        member_ids=[f"m{i // 10 % 2}" for i in range(1000)],
    )
    paid = [
        mitigation_cost(fitted, shown(400, seed=2), rows, [1.0], n_resamples=200)["dials"][0]
        for rows in (apart, shared)
    ]
    change, same = (one["ndcg_at_10_change"]["value"] for one in paid)
    assert same == pytest.approx(change, abs=1e-12)
    assert change != 0


def test_at_dial_0_nothing_changes_and_nothing_is_paid() -> None:
    fitted = mend(shown(3000, seed=1), "size", minimum_positives=50)
    (dial,) = mitigation_cost(fitted, shown(500, seed=2), graded(200), [0.0], n_resamples=100)[
        "dials"
    ]
    for name in ("ndcg_at_10_change", "click_auc_change"):
        assert (dial[name]["value"], dial[name]["low"], dial[name]["high"]) == (0, 0, 0)
