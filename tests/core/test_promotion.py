"""Guards the gate: what is worse, or cannot be measured, never serves."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tasks.core.intervals import Interval, bootstrap_mean
from tasks.core.promotion import Candidate, Gates, decide

GATES = Gates(minimum_kappa=0.3, minimum_ndcg=0.5, minimum_kept_ndcg=0.9, margin_ndcg=0.01)
GOOD = Candidate(kappa=0.5, ndcg=0.8, kept_ndcg=0.97, gain=None)


def _decision(candidate, gates=GATES):
    return decide(candidate, gates, approval_required=False)[0]


def test_a_first_model_needs_the_absolute_gates_alone():
    assert _decision(GOOD) == "promoted"


@pytest.mark.parametrize("name", ["kappa", "ndcg", "kept_ndcg"])
def test_each_gate_refuses_by_itself(name):
    decision, reasons = decide(replace(GOOD, **{name: 0.1}), GATES, approval_required=False)
    assert decision == "refused"
    assert len(reasons) == 1
    assert "0.100 is below the least allowed" in reasons[0]


@pytest.mark.parametrize("name", ["kappa", "ndcg", "kept_ndcg"])
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
