"""Guards the figures over all groups of an attribute."""

import numpy as np
import pytest

from tasks.core.fairness.groups import values_by_group
from tasks.core.fairness.inequality import theil_t_index
from tasks.core.fairness.spread import INDEXES, inequality_metrics, prediction_distances

RNG = np.random.default_rng(0)
MEMBER = np.repeat(np.arange(150), 8)
BAND = MEMBER % 3
GROUPS = [{"age": "abc"[b]} for b in BAND]
SCORES = np.clip(RNG.beta(2, 2, len(MEMBER)) * np.array([1.0, 0.9, 0.8])[BAND], 0, 1)
LABELS = (RNG.random(len(MEMBER)) < SCORES).astype(float)


def test_inequality_is_taken_over_the_groups_values():
    found = values_by_group(SCORES, LABELS, GROUPS, MEMBER, n_resamples=100)
    rows = {row.name: row for row in inequality_metrics("student", found)}
    means = np.array([SCORES[b == BAND].mean() for b in range(3)])
    row = rows["demographic_parity theil_t_index"]
    assert (row.tier, row.group_pair, row.p_value) == ("student", "age: all groups", None)
    assert row.value == pytest.approx(theil_t_index(means))
    assert row.low < row.value < row.high


def test_every_index_is_there_for_every_metric_that_is_a_benefit():
    found = values_by_group(
        SCORES, LABELS, GROUPS, MEMBER, metrics=["auc", "calibration"], n_resamples=20
    )
    names = [row.name for row in inequality_metrics("student", found)]
    assert names == [f"auc {index}" for index in INDEXES]


def test_a_metric_that_a_group_lacks_has_no_inequality():
    labels = np.where(BAND == 0, 0.0, LABELS)
    found = values_by_group(SCORES, labels, GROUPS, MEMBER, metrics=["recall"], n_resamples=20)
    assert inequality_metrics("student", found) == []


def test_distance_of_a_group_to_all_is_the_difference_of_expected_rates():
    rows = prediction_distances("student", SCORES, GROUPS, MEMBER, n_resamples=50)
    (row,) = [
        r for r in rows if (r.name, r.group_pair) == ("total_variation_distance", "age: a - all")
    ]
    assert row.value == pytest.approx(SCORES[BAND == 0].mean() - SCORES.mean())
    assert row.low < row.value < row.high


def test_skew_shows_the_direction_of_a_group():
    rows = prediction_distances("student", SCORES, GROUPS, MEMBER, n_resamples=20)
    skew = {r.group_pair: r.value for r in rows if r.name == "maximum_skew"}
    positives, n = SCORES[BAND == 0].sum(), (BAND == 0).sum()
    expected = np.log((positives + 1) / (n + 2)) - np.log((SCORES.sum() + 1) / (len(SCORES) + 2))
    assert skew["age: a - all"] == pytest.approx(expected)


def test_a_small_group_gets_no_distance():
    groups = [{"age": "few"} if m < 5 else g for m, g in zip(MEMBER, GROUPS, strict=True)]
    pairs = {r.group_pair for r in prediction_distances("t", SCORES, groups, MEMBER, n_resamples=5)}
    assert pairs == {"age: a - all", "age: b - all", "age: c - all"}


def test_a_resample_that_misses_a_group_costs_its_interval_a_draw_and_not_the_run():
    """Of 150 members five are missed by one resample in 150, two by one in seven."""
    for size, named in ((5, True), (2, False)):
        groups = [{"age": "few" if m < size else "rest"} for m in MEMBER]
        rows = prediction_distances(
            "student", SCORES, groups, MEMBER, n_resamples=1000, minimum_clusters=2
        )
        few = [row for row in rows if row.group_pair == "age: few - all"]
        assert bool(few) == named
        for row in few:
            assert row.low <= row.value <= row.high
