"""Drift is found where it was planted, and not where traffic is the same."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from tasks.core.drift import TRAFFIC, describe, drift, drift_of_file, traffic_figures
from tasks.core.errors import CookbookError
from tasks.core.store.registry import Registry


def _scored(rng, queries=200, shift=0.0, per_query=5, words=3):
    rows = []
    for query in range(queries):
        for value in np.clip(rng.beta(2, 3, per_query) + shift, 0, 1):
            high = float(value)
            rows.append(
                {
                    "query_id": f"q{query}",
                    "query": " ".join(["w"] * (words + query % 3)),
                    "member_id": "m1" if query % 2 else "",
                    "relevance": high,
                    "single_grade": round(high),
                    "action_probabilities": {"clicked": high / 2},
                }
            )
    return rows


def test_a_shift_of_the_scores_is_found_and_named():
    rng = np.random.default_rng(0)
    found = drift(describe(_scored(rng)), _scored(rng, shift=0.25), 0.2)
    named = {one.figure for one in found if one.drifted}
    assert {"relevance", "grade", "probability clicked"} <= named
    assert not named & {"query length", "asked by a member"}


def test_longer_queries_are_drift_of_the_input_alone():
    rng = np.random.default_rng(0)
    found = drift(describe(_scored(rng)), _scored(rng, words=8), 0.2)
    assert [one.figure for one in found if one.drifted] == ["query length"]


@pytest.mark.parametrize(
    ("figure", "column", "before", "after"),
    [
        ("query length", "query", "w w w", " ".join(["w"] * 20)),
        ("query length", "query", "w w w", "w"),
        ("grade", "single_grade", 2, 4),
        ("grade", "single_grade", 2, 1),
        ("asked by a member", "member_id", "", "m1"),
        ("asked by a member", "member_id", "m1", ""),
    ],
)
def test_traffic_that_left_the_one_value_of_training_is_drift(
    figure: str, column: str, before: object, after: object
) -> None:
    """Also upwards, where a bin from that value on would hold what came instead."""
    rng = np.random.default_rng(0)
    learned, met = ([{**row, column: value} for row in _scored(rng)] for value in (before, after))
    assert figure in {one.figure for one in drift(describe(learned), met, 0.2) if one.drifted}
    same = [{**row, column: before} for row in _scored(rng)]
    assert not [one for one in drift(describe(learned), same, 0.2) if one.drifted]


def test_a_value_above_all_that_training_had_is_drift_where_the_highest_was_common() -> None:
    rng = np.random.default_rng(0)
    grades = [0] * 50 + [1] * 35 + [2] * 15
    learned = [{**row, "single_grade": int(rng.choice(grades))} for row in _scored(rng)]
    met = [
        {**row, "single_grade": 4 if row["single_grade"] == 2 else row["single_grade"]}
        for row in learned
    ]
    assert [one.figure for one in drift(describe(learned), met, 0.2) if one.drifted] == ["grade"]


def test_the_same_traffic_seldom_alarms_however_few_the_queries():
    """At n queries the index alone is large by chance: (1/n + 1/m) times 9 on average."""
    rng = np.random.default_rng(1)
    reference = describe(_scored(rng, queries=60, per_query=1))
    trials = [drift(reference, _scored(rng, queries=30, per_query=1), 0.2) for _ in range(100)]
    large = sum(any(one.psi > 0.2 for one in found) for found in trials)
    alarmed = sum(any(one.drifted for one in found) for found in trials)
    assert large > 50
    assert alarmed <= 3


def test_the_index_is_the_published_formula():
    """Two bins, 100 rows: from (50, 50) to (80, 20), with half a row added to each bin."""
    reference = {"bins": {"asked by a member": {"edges": [0.5], "counts": [50, 50]}}, "queries": 9}
    rows = [
        {
            "query_id": str(number),
            "query": "q",
            "member_id": "m" if number < 20 else "",
            "relevance": 0.5,
            "single_grade": 0,
            "action_probabilities": {},
        }
        for number in range(100)
    ]
    (found,) = drift(reference, rows, 0.2)
    high, low = 80.5 / 101, 20.5 / 101
    assert found.psi == pytest.approx(
        (high - 0.5) * math.log(high / 0.5) + (low - 0.5) * math.log(low / 0.5)
    )


def test_a_reference_is_json_and_holds_no_text_and_no_member():
    reference = describe(_scored(np.random.default_rng(0), queries=5))
    assert json.loads(json.dumps(reference)) == reference
    assert "m1" not in json.dumps(reference)


def test_a_model_without_actions_has_no_action_figure():
    rows = _scored(np.random.default_rng(0), queries=3)
    for row in rows:
        row["action_probabilities"] = {}
    assert "probability clicked" not in traffic_figures(rows)


def test_scores_of_another_version_are_not_held_to_this_ones_traffic(tmp_path: Path) -> None:
    rows = [{**row, "model_version": "v0002"} for row in _scored(np.random.default_rng(0), 5)]
    scores, traffic = tmp_path / "scores.jsonl", tmp_path / "traffic.json"
    scores.write_text("".join(json.dumps(row) + "\n" for row in rows))
    traffic.write_text(json.dumps(describe(rows)))
    registry = Registry(tmp_path / "registry")
    model = registry.model(registry.register({TRAFFIC: traffic}, {}))
    with pytest.raises(CookbookError, match=r"written by v0002, not v0001"):
        drift_of_file(model, scores, 0.2)
