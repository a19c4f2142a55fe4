"""Guards the gate: what is worse, or cannot be measured, never serves."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tasks.core.intervals import Interval, bootstrap_mean
from tasks.core.promotion import Candidate, Gates, Lost, SingleGoal, decide, decide_refresh
from tasks.core.query_slices import SliceGain

GATES = Gates(minimum_kappa=0.3, minimum_ndcg=0.5, minimum_kept_ndcg=0.9, margin_ndcg=0.01)
GOOD = Candidate(kappa=0.5, ndcg=0.8, kept_ndcg=0.97, gain=None, click_auc=0.6)


def _decision(candidate, gates=GATES):
    return decide(candidate, gates, approval_required=False)[0]


def test_a_first_model_needs_the_absolute_gates_alone():
    assert _decision(GOOD) == "promoted"


@pytest.mark.parametrize("name", ["kappa", "ndcg", "kept_ndcg", "click_auc"])
def test_each_gate_refuses_by_itself(name):
    decision, reasons = decide(replace(GOOD, **{name: 0.1}), GATES, approval_required=False)
    assert decision == "refused"
    assert len(reasons) == 1
    assert "0.100 is below the least allowed" in reasons[0]


@pytest.mark.parametrize("name", ["kappa", "ndcg", "kept_ndcg", "click_auc"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_cannot_be_measured_does_not_pass(name, value):
    assert _decision(replace(GOOD, **{name: value})) == "refused"


def test_the_least_allowed_passes():
    assert _decision(Candidate(0.3, 0.5, 0.9, Interval(0.0, -0.01, 0.02, 50))) == "promoted"


@pytest.mark.parametrize("low", [-0.011, math.nan, -math.inf])
def test_a_candidate_that_may_lose_more_than_the_margin_is_refused(low):
    assert _decision(replace(GOOD, gain=Interval(0.02, low, 0.06, 50))) == "refused"


def test_a_higher_mean_alone_does_not_promote():
    assert _decision(replace(GOOD, gain=Interval(0.05, -0.05, 0.15, 8))) == "refused"


def test_one_query_or_member_alone_passes_no_gate_of_intervals():
    """Drawn again and again it is always itself: an interval without width, above any margin."""
    alone = Interval(0.05, 0.05, 0.05, 1)
    for change in ({"gain": alone}, {"gain": replace(alone, n=9), "click_gain": alone}):
        decision, reasons = decide(replace(GOOD, **change), GATES, approval_required=False)
        assert decision == "refused"
        assert len(reasons) == 1
        assert reasons[0].endswith("One alone tells nothing about others.")
    strict = replace(GATES, require_gain=True)
    assert len(decide(replace(GOOD, gain=alone), strict, approval_required=False)[1]) == 2
    decision, (reason,) = decide_refresh(alone, 0.01, approval_required=False)
    assert decision == "refused"
    assert reason.endswith("One alone tells nothing about others.")
    two = replace(alone, n=2)
    assert _decision(replace(GOOD, gain=two, click_gain=two), strict) == "promoted"


@pytest.mark.parametrize(("low", "expected"), [(-0.05, "promoted"), (-0.051, "refused")])
def test_one_that_may_lose_more_clicks_than_the_margin_is_refused(low, expected):
    level, lost = Interval(0.0, -0.005, 0.005, 50), Interval(-0.02, low, 0.01, 44)
    candidate = replace(GOOD, gain=level, click_gain=lost)
    decision, reasons = decide(candidate, GATES, approval_required=False)
    assert decision == expected
    assert any(f"click AUC changes by -0.0200 [{low:+.4f}" in reason for reason in reasons)


def test_a_domain_without_clicks_is_held_to_relevance_alone():
    assert _decision(replace(GOOD, click_auc=None)) == "promoted"


def test_what_the_model_in_service_learned_from_clicks_is_not_lost_unseen():
    """On the day the log is missing no click is measured, and every other gate is passed."""
    blind = replace(GOOD, click_auc=None, gain=Interval(0.05, 0.02, 0.08, 80))
    assert _decision(blind) == "promoted"
    for lost in (("clicks",), ("personal effects",), ("clicks", "personal effects")):
        candidate = replace(blind, lost=Lost(lost))
        decision, reasons = decide(candidate, GATES, approval_required=False)
        assert decision == "refused"
        (reason,) = reasons
        assert f"The model in service has {' and '.join(lost)};" in reason
        assert "Bring the log back" in reason
        assert decide(candidate, GATES, approval_required=True)[0] == "refused"


def test_a_mix_that_drops_personal_effects_is_told_apart_from_a_missing_log():
    gained = replace(GOOD, gain=Interval(0.05, 0.02, 0.08, 80))
    said = {}
    for by_choice in (False, True):
        candidate = replace(gained, lost=Lost(("personal effects",), by_choice=by_choice))
        decision, (said[by_choice],) = decide(candidate, GATES, approval_required=False)
        assert decision == "refused"
    for reason in said.values():
        assert reason.startswith("The model in service has personal effects; the candidate has")
        assert "`cookbook models promote`" in reason
    assert "as if the click log were missing. Bring the log back" in said[False]
    assert "the chosen mix was taught relevance alone, and no clicks." in said[True]
    assert "mix.relevance_floor" in said[True]
    assert "log" not in said[True]


BELOW, LEVEL = Interval(-0.03, -0.05, -0.01, 60), Interval(-0.03, -0.07, 0.01, 60)


def test_a_mix_that_is_below_a_single_goal_on_both_never_serves():
    """What one alone is better at is the price of a mix; what it gets nothing for is a fault."""
    for ndcg, clicks, expected in (
        (BELOW, BELOW, "refused"),
        (BELOW, LEVEL, "promoted"),
        (LEVEL, BELOW, "promoted"),
        (BELOW, None, "promoted"),
        (replace(BELOW, n=1), BELOW, "promoted"),
        (BELOW, replace(BELOW, n=1), "promoted"),
    ):
        candidate = replace(GOOD, single_goals=(SingleGoal("clicks", ndcg, clicks),))
        assert _decision(candidate) == expected
    worse = (SingleGoal("clicks", LEVEL, BELOW), SingleGoal("the policy teacher", BELOW, BELOW))
    decision, reasons = decide(replace(GOOD, single_goals=worse), GATES, approval_required=True)
    assert decision == "refused"
    (reason,) = reasons
    assert reason.startswith(
        "Against the student of the policy teacher only NDCG@10 changes by -0.0300 "
        "[-0.0500, -0.0100] over 60 queries, click AUC by -0.0300 [-0.0500, -0.0100] over "
        "60 members: the mix of goals is below it on both. Let mix.alphas"
    )


def test_a_person_decides_only_what_passed():
    assert decide(GOOD, GATES, approval_required=True)[0] == "waiting"
    assert decide(replace(GOOD, ndcg=0.0), GATES, approval_required=True)[0] == "refused"


def test_all_reasons_are_told():
    worst = Candidate(0.0, 0.0, 0.0, Interval(-0.2, -0.3, -0.1, 40))
    _, reasons = decide(worst, GATES, approval_required=False)
    assert len(reasons) == 4
    assert "-0.2000 [-0.3000, -0.1000] over 40 queries: it may lose more than 0.010" in reasons[3]


def _share_promoted(true_gain, *, n_queries, runs=400):
    """How often a candidate passes whose NDCG differs by ``true_gain`` on average."""
    rng = np.random.default_rng(0)
    gains = rng.normal(true_gain, 0.08, size=(runs, n_queries))
    decisions = [
        _decision(replace(GOOD, gain=bootstrap_mean(row, n_resamples=200, seed=seed)))
        for seed, row in enumerate(gains)
    ]
    return np.mean([decision == "promoted" for decision in decisions])


def test_a_candidate_that_loses_the_margin_is_promoted_once_in_forty():
    # One side of a 95% interval: 2.5%, and the percentile interval is a little narrow.
    assert 0.005 < _share_promoted(-GATES.margin_ndcg, n_queries=80) < 0.06


def test_the_same_model_again_is_promoted_where_queries_suffice():
    # The margin is 3.95 standard errors of the mean of 1,000 queries: power 0.97.
    assert _share_promoted(0.0, n_queries=1000, runs=60) > 0.9


def test_superiority_is_asked_for_or_not():
    level = replace(GOOD, gain=Interval(0.004, -0.002, 0.01, 200))
    strict = replace(GATES, require_gain=True)
    assert _decision(level) == "promoted"
    decision, reasons = decide(level, strict, approval_required=False)
    assert decision == "refused"
    assert reasons == [
        "The candidate is not shown to be better than the model in service over all queries."
    ]
    better = replace(GOOD, gain=Interval(0.02, 0.001, 0.04, 200))
    assert _decision(better, strict) == "promoted"


@pytest.mark.parametrize(("p_value", "expected"), [(0.025, "promoted"), (0.026, "refused")])
def test_one_lost_slice_refuses_what_gains_on_the_whole(p_value, expected):
    lost = SliceGain("of 1 to 3 words", Interval(-0.03, -0.08, 0.02, 20), p_value)
    kept = SliceGain("of 6 words or more", Interval(0.1, 0.05, 0.15, 60), 0.001)
    candidate = replace(GOOD, gain=Interval(0.05, 0.02, 0.08, 80), slices=(lost, kept))
    decision, reasons = decide(candidate, GATES, approval_required=False)
    assert decision == expected
    if expected == "refused":
        assert reasons == [
            "Queries of 1 to 3 words: NDCG@10 changes by -0.0300 over 20 queries; it may lose "
            "more than 0.050 (p 0.026, corrected by Holm)."
        ]


def test_a_slice_too_small_to_be_tested_is_told_and_holds_nothing_up() -> None:
    small = SliceGain("of 6 words or more", Interval(-0.4, -0.6, -0.2, 7), None)
    candidate = replace(GOOD, gain=Interval(0.05, 0.02, 0.08, 80), slices=(small,))
    decision, reasons = decide(candidate, GATES, approval_required=False)
    assert decision == "promoted"
    assert reasons[-1] == (
        "Queries of 6 words or more: NDCG@10 changes by -0.4000 over 7 queries; too few to be "
        "tested, which takes 8."
    )


def test_a_failed_fairness_check_refuses_and_a_passed_one_is_told() -> None:
    for passed, expected in ((True, "promoted"), (False, "refused")):
        decision, reasons = decide(
            GOOD, GATES, approval_required=False, fairness=(passed, "Fairness: told.")
        )
        assert decision == expected
        assert "Fairness: told." in reasons


def test_refreshed_effects_serve_only_if_their_whole_interval_lies_above_the_margin() -> None:
    for low, expected in ((-0.009, "promoted"), (-0.011, "refused"), (math.nan, "refused")):
        gain = Interval(0.002, low, 0.03, 120)
        assert decide_refresh(gain, 0.01, approval_required=False)[0] == expected
    waits = decide_refresh(Interval(0.002, 0.001, 0.03, 120), 0.01, approval_required=True)
    assert waits[0] == "waiting"
    assert "over 120 members" in waits[1][0]
