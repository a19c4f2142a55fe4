"""Guards calibration: it finds what was planted, keeps the order, and errs as it says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax
from sklearn.calibration import calibration_curve

from tasks.core.calibration import (
    ActionCalibration,
    exceedance,
    fit_action,
    fit_grade_cuts,
    fit_temperature,
    reliability,
)
from tasks.core.labeling.agreement import weighted_kappa
from tasks.core.training.scorer import single_grades


@pytest.mark.parametrize("planted", [0.4, 1.0, 3.0])
def test_a_planted_temperature_is_found(planted):
    logits = np.random.default_rng(0).normal(size=(400, 5))
    found = fit_temperature(logits * planted, softmax(logits, axis=1))
    assert found == pytest.approx(planted, rel=1e-3)


def test_a_planted_temperature_is_found_in_sampled_grades():
    rng = np.random.default_rng(1)
    logits = 2 * rng.normal(size=(20_000, 4))
    grades = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    assert fit_temperature(logits * 2.0, np.eye(4)[grades]) == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize("shrunk", [1.0, 0.5, 0.2])
def test_a_planted_shrinkage_is_undone(shrunk):
    grades = np.random.default_rng(3).integers(0, 5, 500)
    expected = 1.7 + shrunk * (grades - grades.mean())
    cuts = fit_grade_cuts(expected, np.eye(5)[grades])
    assert np.array_equal(np.searchsorted(cuts, expected, side="right"), grades)


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_cuts_agree_with_the_judge_at_least_as_well_as_rounding(seed, grades):
    rng = np.random.default_rng(seed)
    judged = rng.integers(0, grades, 300)
    logits = 0.4 * np.eye(grades)[judged] + rng.normal(size=(300, grades)) * rng.uniform(0.05, 1)
    probabilities = softmax(logits, axis=1)
    # Of the same mean as the judge's, so that rounding is one of the cuts that are tried.
    expected = probabilities @ np.arange(grades)
    shift = judged.mean() - expected.mean()
    cuts = np.array(fit_grade_cuts(expected, np.eye(grades)[judged])) + shift
    cut = np.searchsorted(cuts, expected + shift, side="right")
    rounded = np.searchsorted(np.arange(1, grades) - 0.5, expected + shift, side="right")
    found, other = (weighted_kappa(judged, one, grades) for one in (cut, rounded))
    assert found >= other - 1e-9


def test_an_unsure_models_order_is_worth_its_kappa_once_it_is_cut():
    """Ten times flatter than the truth it was drawn from: rounded, it names the middle alone."""
    rng = np.random.default_rng(2)
    grades = rng.integers(0, 5, 4000)
    logits = -0.1 * (np.arange(5) - (grades + rng.normal(0, 0.7, 4000))[:, None]) ** 2
    probabilities = softmax(logits, axis=1)
    cuts = fit_grade_cuts(probabilities[:2000] @ np.arange(5), np.eye(5)[grades[:2000]])
    rounded, cut = (single_grades(probabilities[2000:], one) for one in (None, cuts))
    assert weighted_kappa(grades[2000:], rounded, 5) < 0.7
    assert weighted_kappa(grades[2000:], cut, 5) > 0.8


def test_exceedance_by_hand():
    # Probabilities 1/7, 2/7, 4/7.
    logits = np.log([[1.0, 2.0, 4.0]])
    assert exceedance(logits, 1, 1.0) == pytest.approx([6 / 7])
    assert exceedance(logits, 0, 1.0) == pytest.approx([1.0])
    # At temperature 1/2 they are squared: 1, 4, 16 of 21.
    assert exceedance(logits, 2, 0.5) == pytest.approx([16 / 21])


def test_isotonic_pools_the_violators():
    # 0, then (1, 0) pooled to 1/2, then 1; ends held off 0 and 1 by a millionth.
    found = fit_action(np.arange(4.0), np.array([0.0, 1, 0, 1]), np.ones(4))
    assert found(np.arange(4.0)) == pytest.approx([1e-6, 0.5, 0.5, 1 - 1e-6])


def test_a_click_counts_as_often_as_its_place_is_overlooked_and_a_row_once():
    # A click that counts twice, then three misses: (2 + 0 + 0 + 0) / 4, whatever misses weigh.
    clicks, weights = np.array([1.0, 0, 0, 0]), np.array([2.0, 1, 9, 5])
    assert fit_action(np.arange(4.0), clicks, weights)(np.arange(4.0)) == pytest.approx(0.5)


def test_equal_attractions_have_equal_probabilities_wherever_they_stood():
    """Attraction 0.2, looked at always or once in five: 200 and 40 clicks of 1,000 rows each."""
    clicks = np.concatenate([np.arange(1000) < 200, np.arange(1000) < 40]).astype(float)
    place = np.repeat([0.0, 1.0], 1000)
    weights = np.where(place == 0, 1.0, 5.0)
    found = fit_action(place, clicks, weights)(np.array([0.0, 1.0]))
    assert found == pytest.approx([0.2, 0.2])
    # Weights on misses as well would say 40 / 1,000 of the second, and these are not believed.
    assert reliability(np.full(2000, 0.2), weights * clicks).expected_error == pytest.approx(0)
    raw = np.where(place == 0, 0.2, 0.04)
    assert reliability(raw, weights * clicks).expected_error == pytest.approx(0.08)


def test_what_is_fitted_is_the_attraction_that_was_planted():
    """The old ranker puts attractive candidates on top, and only part of a list is looked at."""
    rng = np.random.default_rng(5)
    logits = rng.normal(-1.5, 1.0, size=(3000, 10))
    places = (-logits - rng.normal(size=logits.shape)).argsort(axis=1).argsort(axis=1)
    looked = (1.0 + places) ** -0.7
    clicks = (rng.random(logits.shape) < looked * expit(logits)).astype(float)
    found = fit_action(logits.ravel(), clicks.ravel(), 1 / looked.ravel())
    grid = np.linspace(-3.0, 0.5, 30)
    assert found(grid) == pytest.approx(expit(grid), abs=0.08)
    assert np.abs(found(grid) - expit(grid)).mean() < 0.02


def test_counts_beyond_one_stay_probabilities():
    found = fit_action(np.array([0.0, 1.0]), np.array([0.0, 1.0]), np.array([1.0, 10.0]))
    assert found(np.array([0.0, 1.0])) == pytest.approx([1e-6, 1 - 1e-6])


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(-9, 9), st.booleans()), min_size=2, max_size=40))
def test_a_higher_logit_never_has_a_lower_probability(rows):
    logits, taken = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    found = fit_action(logits, taken, np.ones_like(logits))(np.linspace(-12, 12, 200))
    assert (np.diff(found) >= 0).all()
    assert (found > 0).all()
    assert (found < 1).all()


@pytest.mark.parametrize(("taken", "rate"), [(0.0, 0.5 / 2001), (1.0, 2000.5 / 2001)])
def test_without_both_outcomes_the_order_stays_and_the_rate_is_half_a_row_from_what_was_seen(
    taken, rate
):
    """Raw, an action learned among rows that have one would be served at their rate."""
    logits = np.random.default_rng(0).normal(size=2000)
    found = fit_action(logits, np.full(2000, taken), np.ones(2000))
    assert found(logits).mean() == pytest.approx(rate, rel=0.02)
    gaps = np.diff(found(np.array([-2.0, 0.1, 3.0])))
    assert (gaps > 0).all()


def test_without_rows_the_models_own_probabilities_stay():
    found = fit_action(np.zeros(0), np.zeros(0), np.zeros(0))
    assert found(np.array([-2.0, 0.1, 3.0])) == pytest.approx(expit([-2.0, 0.1, 3.0]), abs=2e-3)


def test_a_calibration_survives_its_json():
    found = fit_action(np.arange(6.0), np.array([0.0, 1, 0, 1, 0, 1]), np.ones(6))
    again = ActionCalibration.from_json(found.to_json())
    assert np.array_equal(found(np.linspace(-1, 7, 50)), again(np.linspace(-1, 7, 50)))


def test_expected_error_by_hand():
    # Two bins: |0.1 - 1/2| and |0.9 - 1|, each half the rows: 0.2 + 0.05.
    found = reliability(np.array([0.1, 0.9, 0.1, 0.9]), np.array([0.0, 1, 1, 1]), n_bins=2)
    assert found.expected_error == pytest.approx(0.25)
    assert found.bins == (pytest.approx((0.1, 0.5, 2)), pytest.approx((0.9, 1.0, 2)))


def test_bins_hold_equally_many_rows():
    rng = np.random.default_rng(2)
    probabilities = rng.beta(1, 20, size=1003)
    found = reliability(probabilities, rng.random(1003) < probabilities)
    assert len(found.bins) == 15
    assert {n for _, _, n in found.bins} <= {66, 67}


def test_curve_equals_sklearns_quantile_bins():
    rng = np.random.default_rng(3)
    probabilities = rng.random(1500)
    happened = (rng.random(1500) < probabilities**2).astype(float)
    found = reliability(probabilities, happened)
    rates, means = calibration_curve(happened, probabilities, n_bins=15, strategy="quantile")
    assert [mean for mean, _, _ in found.bins] == pytest.approx(means)
    assert [rate for _, rate, _ in found.bins] == pytest.approx(rates)


def test_equal_probabilities_share_a_bin_whatever_the_order_of_rows():
    """Cut by the order of rows, a constant true rate would show an error of one half."""
    found = reliability(np.full(100, 0.5), np.repeat([0.0, 1.0], 50))
    assert found.expected_error == 0
    assert len(found.bins) == 1


def test_true_probabilities_have_a_small_error_and_doubled_odds_a_large_one():
    rng = np.random.default_rng(4)
    logits = rng.normal(size=30_000)
    happened = (rng.random(30_000) < expit(logits)).astype(float)
    assert reliability(expit(logits), happened).expected_error < 0.01
    assert reliability(expit(2 * logits), happened).expected_error > 0.05
