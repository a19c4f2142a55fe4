"""Guards the gate: nothing that is missing, undefined or too wide passes."""

from dataclasses import replace

import pytest

from tasks.core.fairness.gaps import GroupMetric
from tasks.core.fairness.gate import fairness_check, fairness_gate

PAIR = "gender: female - male"
GOOD = GroupMetric("student", "recall", PAIR, 0.01, -0.02, 0.04, 0.6)
WIDE = GroupMetric("student", "recall", PAIR, -0.09, -0.12, -0.06, 0.001)
RULES = {"tier": "student", "limits": {"recall": 0.05}, "required_pairs": [PAIR]}


def test_a_measured_gap_within_its_limit_passes():
    assert fairness_gate([GOOD], **RULES).passed


def test_a_gap_beyond_its_limit_is_refused_with_its_numbers():
    found = fairness_gate([WIDE], **RULES)
    assert not found.passed
    assert found.reasons == (
        f"student, recall, {PAIR}: gap -0.090 (-0.120 to -0.060) exceeds the limit of 0.05",
    )


def test_a_wide_gap_that_chance_explains_refuses_nobody():
    assert fairness_gate([replace(WIDE, high=0.01)], **RULES).passed


def test_a_real_gap_below_the_limit_passes():
    assert fairness_gate([replace(WIDE, value=-0.03, low=-0.04, high=-0.02)], **RULES).passed


@pytest.mark.parametrize(
    "metrics",
    [
        [],
        [replace(GOOD, tier="teacher")],
        [replace(GOOD, name="precision")],
        [replace(GOOD, group_pair="age: a - b")],
        [replace(GOOD, value=None, low=None, high=None, p_value=None)],
        [replace(GOOD, low=None)],
        [replace(GOOD, value=float("nan"))],
        [replace(GOOD, high=float("inf"))],
    ],
)
def test_what_was_not_measured_does_not_pass(metrics):
    assert not fairness_gate(metrics, **RULES).passed


def test_a_pair_nobody_required_is_held_to_the_limit_too():
    other = replace(WIDE, group_pair="age: 50_plus - under_35")
    assert fairness_gate([GOOD, other], **RULES).reasons[0].startswith("student, recall, age")


@pytest.mark.parametrize("rules", [{"limits": {}}, {"required_pairs": []}])
def test_a_gate_that_checks_nothing_does_not_pass(rules):
    assert not fairness_gate([GOOD], **{**RULES, **rules}).passed


def test_a_limit_that_is_no_number_does_not_pass():
    assert not fairness_gate([GOOD], **{**RULES, "limits": {"recall": float("nan")}}).passed


CHECK = {"tier": "student", "limits": {"recall": 0.05}}


def test_a_promotion_is_told_of_a_gap_and_refused_only_where_the_settings_say_so():
    for refuses in (False, True):
        passed, told = fairness_check([WIDE], **CHECK, served_pairs=[], refuses=refuses)
        assert passed is not refuses
        assert "gap -0.090" in told
        assert ("refuses nobody" in told) is not refuses


def test_a_pair_that_the_model_in_service_had_may_not_vanish():
    gone = ["age: old - young"]
    passed, told = fairness_check([GOOD], **CHECK, served_pairs=gone, refuses=True)
    assert not passed
    assert "age: old - young: not measured" in told
    assert fairness_check([GOOD], **CHECK, served_pairs=[], refuses=True)[0]


@pytest.mark.parametrize("metrics", [None, []])
def test_what_was_not_measured_is_refused_by_those_who_ask_for_it(metrics):
    for refuses in (False, True):
        passed, _ = fairness_check(metrics, **CHECK, served_pairs=[], refuses=refuses)
        assert passed is not refuses
