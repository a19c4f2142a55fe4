"""Conflicts: counted by hand, settled by rank or by vote, blind to what a teacher did not score."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import rankdata

from tasks.core.distillation.conflicts import (
    Rule,
    agreement,
    audit,
    discordance,
    majority,
    settle_conflicts,
)
from tasks.core.distillation.students import Teacher

# One query of four candidates, one of two, one that stands alone.
QUERIES = np.array([0, 0, 0, 0, 1, 1, 2])
FIRST = np.array([4.0, 3.0, 2.0, 1.0, 0.0, 1.0, 5.0])


def test_alike_orders_agree_fully_whatever_their_scale() -> None:
    same = np.stack([FIRST, np.exp(FIRST) - 7], axis=1)
    assert agreement(same, QUERIES) == pytest.approx(np.ones(7))
    assert discordance(FIRST, np.exp(FIRST), QUERIES)[:6] == pytest.approx(np.zeros(6))


def test_opposite_orders_disagree_most_at_the_ends() -> None:
    opinions = np.stack([FIRST, -FIRST], axis=1)
    assert agreement(opinions, QUERIES) == pytest.approx([0, 2 / 3, 2 / 3, 0, 0, 0, 1])
    found = discordance(FIRST, -FIRST, QUERIES)
    assert found[:6] == pytest.approx(np.ones(6))
    assert np.isnan(found[6])


def test_agreement_follows_scipy_ranks() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.integers(0, 5, (2, 12)).astype(float)
    shares = [(rankdata(column) - 1) / 11 for column in (one, other)]
    expected = 1 - np.abs(shares[0] - shares[1])
    found = agreement(np.stack([one, other], axis=1), np.zeros(12, dtype=np.int64))
    assert found == pytest.approx(expected)


def test_one_exchanged_pair_is_one_of_three_neighbors() -> None:
    other = np.array([3.0, 4.0, 2.0, 1.0, 0.0, 1.0, 5.0])
    expected = [1 / 3, 1 / 3, 0, 0, 0, 0]
    assert discordance(FIRST, other, QUERIES)[:6] == pytest.approx(expected)


def test_what_was_not_scored_is_no_disagreement() -> None:
    other = -FIRST
    other[0] = np.nan
    assert agreement(np.stack([FIRST, other], axis=1), QUERIES)[0] == 1.0
    found = discordance(FIRST, other, QUERIES)
    assert np.isnan(found[0])
    assert found[1] == 1.0


def test_the_weighted_majority_decides_by_hand() -> None:
    """Two light teachers of 0.3 outvote none of 0.4 alone, but do together."""
    opinions = np.stack([FIRST, -FIRST, -FIRST], axis=1)
    kept = majority(opinions, QUERIES, np.array([0.4, 0.3, 0.3]))
    assert kept[:6].tolist() == [[False, True, True]] * 6
    assert kept[6].all()
    kept = majority(opinions[:, :2], QUERIES, np.array([0.6, 0.4]))
    assert kept[:6].tolist() == [[True, False]] * 6
    assert majority(opinions[:, :2], QUERIES, np.array([0.5, 0.5])).all()


def teachers() -> list[Teacher]:
    # Small logits: expected grades then lie as evenly as the scores.
    grades = 0.1 * np.stack([-FIRST, np.zeros(7), FIRST], axis=1).astype(np.float32)
    clicks = -FIRST[:, None].astype(np.float32)
    return [
        Teacher("policy", "grades", 0.7, 1.0, grades),
        Teacher("click", "actions", 0.3, 1.0, clicks),
    ]


def test_rules_weigh_rows_and_leave_targets_alone() -> None:
    assert all(one.row_weights is None for one in settle_conflicts(teachers(), QUERIES, "none"))
    by_rank = settle_conflicts(teachers(), QUERIES, "agreement")
    for found in by_rank:
        assert found.row_weights == pytest.approx([0, 2 / 3, 2 / 3, 0, 0, 0, 1], abs=1e-6)
    retrieval = Teacher("retrieval", "listwise", 0.2, 1.0, FIRST[:, None].astype(np.float32))
    policy, click, third = settle_conflicts([*teachers(), retrieval], QUERIES, "vote")
    for agreeing in (policy, third):
        assert agreeing.row_weights is not None
        assert agreeing.row_weights.tolist() == [1.0] * 7
    assert click.row_weights is not None
    assert click.row_weights.tolist() == [0.0] * 6 + [1.0]
    assert np.array_equal(replace(click, row_weights=None).targets, teachers()[1].targets)


@pytest.mark.parametrize(("rule", "number"), [("agreement", 1), ("vote", 1), ("vote", 2)])
def test_fewer_teachers_than_a_rule_needs_are_left_as_they_are(rule: Rule, number: int) -> None:
    """Of two voters the heavier one would always win; of two equal ones neither ever would."""
    found = settle_conflicts(teachers()[:number], QUERIES, rule)
    assert [one.row_weights for one in found] == [None] * number


def test_who_teaches_in_two_kinds_is_one_voter() -> None:
    """Else one teacher would outvote another by being listed twice."""
    twice = Teacher("policy", "listwise", 0.7, 1.0, FIRST[:, None].astype(np.float32))
    found = settle_conflicts([*teachers(), twice], QUERIES, "vote")
    assert [one.row_weights for one in found] == [None] * 3
    alone = settle_conflicts([teachers()[0], twice], QUERIES, "agreement")
    assert [one.row_weights for one in alone] == [None] * 2


def test_who_teaches_in_two_kinds_has_one_opinion() -> None:
    """Two votes of 0.7, or one of 1.4, would be more than the 0.8 of the two others."""
    twice = Teacher("policy", "listwise", 0.6, 1.0, FIRST[:, None].astype(np.float32))
    click = replace(teachers()[1], weight=0.4)
    third = replace(click, name="retrieval", kind="listwise")
    voted = settle_conflicts([teachers()[0], twice, click, third], QUERIES, "vote")
    told = [one.row_weights[:6].tolist() for one in voted]  # type: ignore[index]
    assert told == [[0.0] * 6, [0.0] * 6, [1.0] * 6, [1.0] * 6]
    alone = settle_conflicts(teachers(), QUERIES, "agreement")[0].row_weights
    for found in settle_conflicts([*teachers(), twice], QUERIES, "agreement"):
        assert found.row_weights == pytest.approx(alone)


def test_the_audit_by_hand() -> None:
    disagreement = np.array([1.0, 0.5, 0.0, np.nan])
    clauses = [["TITLE-1"], ["TITLE-1", "PAY-2"], [], ["PAY-2"]]
    assert audit(disagreement, {"clause": clauses}) == [
        {"by": "clause", "value": "TITLE-1", "pairs": 2, "disagreement": 0.75},
        {"by": "clause", "value": "PAY-2", "pairs": 1, "disagreement": 0.5},
    ]
