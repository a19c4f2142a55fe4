"""Every tier on the same rows: what a student adds to a gap is told from what its teacher has."""

import json

import numpy as np
import pytest

from tasks.core.domain.catalog import Catalog
from tasks.core.fairness.comparisons import compare_groups
from tasks.core.fairness.evidence import Evidence, PersonalOutputs, TierOutputs, row_groups
from tasks.core.fairness.gate import fairness_gate

HOW = {"n_resamples": 200, "seed": 0, "minimum_clusters": 20}
GRADES = 5
RNG = np.random.default_rng(0)


def catalog() -> Catalog:
    documents = {
        f"d{i:03d}": {"groups": json.dumps({"size": "small" if i % 2 else "large"})}
        for i in range(200)
    }
    members = {
        f"m{i:02d}": {"groups": json.dumps({"gender": "woman" if i % 2 else "man"})}
        for i in range(60)
    }
    return Catalog(documents, members)


CATALOG = catalog()


def graded(n_queries: int, prefix: str) -> list[dict]:
    return [
        {
            "pair_id": f"{prefix}{query}-{place}",
            "query_id": f"{prefix}{query}",
            "query": "q",
            "member_id": f"m{query % 60:02d}",
            "doc_id": f"d{RNG.integers(0, 200):03d}",
            "grade": int(RNG.integers(0, GRADES)),
        }
        for query in range(n_queries)
        for place in range(8)
    ]


def clicked(n_lists: int) -> list[dict]:
    return [
        {
            "impression_id": f"i{number}",
            "member_id": f"m{number % 60:02d}",
            "doc_id": f"d{RNG.integers(0, 200):03d}",
            "clicked": int(RNG.random() < 0.3),
            "weight": 1.0,
        }
        for number in range(n_lists)
        for _ in range(5)
    ]


def small(rows: list[dict]) -> np.ndarray:
    return np.array([int(row["doc_id"][1:]) % 2 for row in rows], dtype=bool)


def logits_of(rows: list[dict], shift: float) -> np.ndarray:
    """Grade logits that point at the true grade, small employers' moved by `shift`; one click."""
    grade = np.array([row.get("grade", 2) for row in rows], dtype=float)
    center = grade + shift * small(rows)
    grades = -((np.arange(GRADES) - center[:, None]) ** 2)
    clicks = RNG.normal(-1, 1, len(rows)) + shift * small(rows)
    return np.column_stack([grades, clicks]).astype(np.float32)


def tier(sealed: list[dict], shown: list[dict], shift: float) -> TierOutputs:
    return TierOutputs(logits_of(sealed, shift), logits_of(shown, shift), GRADES, {})


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    sealed, gate, shown, later = graded(80, "s"), graded(60, "g"), clicked(400), clicked(300)
    relevance = np.array([row["grade"] for row in gate]) / (GRADES - 1)
    blind = relevance.copy()
    blind[:8] = np.nan
    fitting = clicked(200)
    logits = logits_of([*fitting, *later], 0.0)
    return Evidence(
        CATALOG, 2, GRADES - 1, "student", sealed, gate,
        {"judge": blind, "policy_teacher": relevance, "student": relevance},
        shown, [],
        {
            "policy_teacher": tier(sealed, shown, 0.0),
            "click_teacher": tier(sealed, shown, 0.0),
            "student": tier(sealed, shown, -0.8),
        },
        PersonalOutputs(fitting, later, logits, logits[len(fitting):, GRADES].astype(float)),
    )  # fmt: skip


def test_members_groups_are_named_apart_from_documents() -> None:
    rows = [{"doc_id": "d001", "member_id": "m01"}, {"doc_id": "d000", "member_id": ""}]
    assert row_groups(CATALOG, rows) == [
        {"size": "small", "member gender": "woman"},
        {"size": "large"},
    ]


def test_a_gap_that_the_student_planted_is_grown_and_the_teachers_is_not(
    evidence: Evidence,
) -> None:
    found = compare_groups(evidence, HOW)
    grown = {
        (one.tier, one.name, one.group_pair)
        for one in found.growth
        if one.wider and one.p_value < 0.05
    }
    assert ("student", "demographic_parity", "size: large - small") in grown
    assert ("student", "click_demographic_parity", "size: large - small") in grown
    assert not any(tier in ("policy_teacher", "personalized") for tier, _, _ in grown)
    assert not any("gender" in pair for _, _, pair in grown)


def test_the_judge_is_measured_and_so_are_clicks_with_effects(evidence: Evidence) -> None:
    found = compare_groups(evidence, HOW)
    tiers = {one.tier for one in found.gaps}
    assert tiers == {"judge", "policy_teacher", "click_teacher", "student", "personalized"}
    keys = [(one.tier, one.name, one.group_pair) for one in found.gaps]
    assert len(keys) == len(set(keys))
    assert {one.tier for one in found.gate} == {"student"}
    assert {one.name for one in found.gaps if one.tier == "personalized"} == {
        "click_demographic_parity", "click_calibration", "click_auc", "click_exposure",
    }  # fmt: skip


def test_effects_that_add_nothing_grow_nothing(evidence: Evidence) -> None:
    growth = [one for one in compare_groups(evidence, HOW).growth if one.tier == "personalized"]
    assert growth
    assert all(one.change == 0 for one in growth)


def test_without_clicks_relevance_alone_is_compared(evidence: Evidence) -> None:
    without = Evidence(
        CATALOG, 2, GRADES - 1, "student", evidence.sealed, evidence.gate, evidence.gate_scores,
        tiers=evidence.tiers,
    )  # fmt: skip
    found = compare_groups(without, HOW)
    assert not any(one.name.startswith("click_") for one in found.gaps)


def of_small_and_large(small: tuple[int, int], large: tuple[int, int]) -> list[dict]:
    """Lists of four, two documents of small employers and two of large ones, with these grades."""
    return [
        {
            "pair_id": f"{query}-{number}",
            "query_id": f"q{query}",
            "query": "q",
            "member_id": "",
            "doc_id": f"d{number:03d}",
            "grade": grade,
        }
        for query in range(40)
        for number, grade in zip((1, 3, 0, 2), (*small, *large), strict=True)
    ]


def gaps_of_a_model(rows: list[dict], expected: np.ndarray) -> tuple[dict, list]:
    """Its gaps between small and large employers on sealed pairs by metric; those of the gate."""
    certain = np.where(np.arange(GRADES) == expected[:, None], 0.0, -1e4).astype(np.float32)
    outputs = TierOutputs(certain, certain[:0], GRADES, {})
    scores = {"policy_teacher": expected / (GRADES - 1), "student": expected / (GRADES - 1)}
    evidence = Evidence(
        CATALOG, 2, GRADES - 1, "student", rows, rows, scores,
        tiers={"policy_teacher": outputs, "student": outputs},
    )  # fmt: skip
    found = compare_groups(evidence, HOW)
    return {one.name: one.value for one in found.gaps if one.tier == "student"}, found.gate


@pytest.mark.parametrize("small", [(0, 4), (1, 2), (2, 3), (0, 0)])
def test_a_model_that_knows_every_grade_is_calibrated_whatever_grades_the_groups_have(
    small: tuple[int, int],
) -> None:
    """Grades as 0 or 1 were held against relevance from 0 to 1, and the gate refused the truth."""
    rows = of_small_and_large(small, (3, 4))
    sealed, gate = gaps_of_a_model(rows, np.array([row["grade"] for row in rows]))
    assert sealed["calibration"] == 0.0
    limits, pairs = {"calibration": 0.0}, ["size: large - small"]
    assert fairness_gate(gate, tier="student", limits=limits, required_pairs=pairs).passed


def test_a_model_that_knows_every_grade_has_equal_rates_for_groups_with_equal_grades() -> None:
    rows = of_small_and_large((1, 3), (1, 3))
    sealed, _ = gaps_of_a_model(rows, np.array([row["grade"] for row in rows]))
    rates = ("demographic_parity", "precision", "recall", "false_positive_rate", "calibration")
    assert {name: sealed[name] for name in rates} == dict.fromkeys(rates, 0.0)


def test_a_group_graded_one_too_low_is_underrated_by_one_of_four_grades() -> None:
    rows = of_small_and_large((1, 3), (1, 3))
    grades = np.array([row["grade"] for row in rows])
    sealed, gate = gaps_of_a_model(rows, grades - small(rows))
    assert sealed["calibration"] == pytest.approx(-0.25)  # large less small
    limits, pairs = {"calibration": 0.2}, ["size: large - small"]
    found = fairness_gate(gate, tier="student", limits=limits, required_pairs=pairs)
    assert not found.passed
    assert "gap -0.250" in found.reasons[0]
