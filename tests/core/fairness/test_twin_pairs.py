"""Twins of golden pairs: one thing changes in the member's text; scorers that read it see it."""

import numpy as np
import pytest

from tasks.core.domain.catalog import Catalog
from tasks.core.fairness.twin_pairs import TwinPairs, twin_report
from tasks.core.inputs import InputTemplate

TEMPLATE = InputTemplate(max_tokens=64)
CATALOG = Catalog(
    {"d1": {"title": "Nurse", "text": "Night shifts.", "attributes": "{}"}},
    {f"m{i:02d}": {"text": f"She is a nurse, {i} years."} for i in range(30)},
)
ROWS = [
    {
        "query_id": f"q{i}",
        "query": "nurse",
        "member_id": f"m{i:02d}" if i < 30 else "",
        "doc_id": "d1",
    }
    for i in range(40)
]


@pytest.fixture
def pairs() -> TwinPairs:
    return TwinPairs.draw(ROWS, CATALOG, 25, seed=0)


def test_pairs_have_a_member_with_a_text_and_a_query_each(pairs: TwinPairs) -> None:
    assert len({row["query_id"] for row in pairs.rows}) == 25
    assert all(row["member_id"] for row in pairs.rows)
    assert TwinPairs.draw(ROWS[30:], CATALOG, 25, seed=0).rows == []
    assert TwinPairs.draw(ROWS, CATALOG, 0, seed=0).rows == []


def test_the_two_texts_of_a_twin_differ_in_the_member_alone(pairs: TwinPairs) -> None:
    first, second = np.split(np.array(pairs.texts(TEMPLATE), dtype=object), 2)
    assert len(first) == len(pairs.twins)
    for one, other in zip(first, second, strict=True):
        assert one.right == other.right
        assert one.left != other.left
        assert one.left.startswith("nurse | ") and other.left.startswith("nurse | ")


def test_a_scorer_that_prefers_a_pronoun_is_found_and_its_teacher_is_not(pairs: TwinPairs) -> None:
    rng = np.random.default_rng(0)
    texts = [text.left for text in pairs.texts(TEMPLATE)]
    noise = rng.normal(0, 0.01, len(texts))
    biased = 0.5 + noise + np.array([0.1 * (" he " in f" {t.lower()} ") for t in texts])
    found = {
        "policy_teacher": pairs.measured("policy_teacher", 0.5 + noise, n_resamples=200),
        "student": pairs.measured("student", biased, n_resamples=200),
    }
    report = twin_report(pairs, found, teachers={"student": "policy_teacher"})
    gaps = {(m["tier"], m["group_pair"]): m for m in report["metrics"] if m["name"] == "twin_gap"}
    planted = gaps["student", "pronoun: she - he"]
    assert planted["value"] == pytest.approx(-0.1, abs=0.02)
    assert planted["p_value"] < 0.01
    assert gaps["policy_teacher", "pronoun: she - he"]["p_value"] > 0.01
    grown = {g["group_pair"] for g in report["growth"] if g["wider"] and g["p_value"] < 0.05}
    assert grown == {"pronoun: she - he"}
    assert report["pairs"] == 25


def test_a_scorer_that_reads_no_member_text_is_blind_to_every_twin(pairs: TwinPairs) -> None:
    found = pairs.measured("student", np.full(2 * len(pairs.twins), 0.5), n_resamples=100)
    assert found.unseen == 1.0
