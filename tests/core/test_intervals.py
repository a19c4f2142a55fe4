"""Guards the intervals: they cover what they promise, pair by cluster, and resample clusters."""

import numpy as np
import pytest

from tasks.core.intervals import (
    bootstrap_mean,
    bootstrap_ratio,
    bootstrap_statistic,
    cluster_weights,
    from_resamples,
    number_clusters,
    share_interval,
)


def test_nineteen_of_twenty_intervals_hold_the_truth():
    rng = np.random.default_rng(0)
    held = [
        found.low <= 1.0 <= found.high
        for seed in range(600)
        for found in [bootstrap_mean(rng.exponential(size=80), n_resamples=400, seed=seed)]
    ]
    # 0.95 less a little for the skew of 80 exponential values; three standard errors around.
    assert 0.91 < np.mean(held) < 0.975


def test_width_is_that_of_the_normal_interval():
    values = np.random.default_rng(1).normal(size=400)
    found = bootstrap_mean(values, n_resamples=4000)
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.06)
    assert found.n == 400


def test_a_ratio_is_paired():
    """Nine tenths of every query is nine tenths in every resample, however queries differ."""
    teacher = np.random.default_rng(2).uniform(0.1, 1.0, size=50)
    found = bootstrap_ratio(0.9 * teacher, teacher)
    assert (found.value, found.low, found.high) == pytest.approx((0.9, 0.9, 0.9))


def test_a_ratio_is_of_sums_not_a_mean_of_ratios():
    assert bootstrap_ratio(np.array([1.0, 9.0]), np.array([2.0, 10.0])).value == 10 / 12


@pytest.mark.parametrize("sizes", [(3, 4), (0, 0)])
def test_unpaired_or_empty_sides_are_refused(sizes):
    with pytest.raises(ValueError, match="same clusters on both sides"):
        bootstrap_ratio(np.ones(sizes[0]), np.ones(sizes[1]))


def test_none_of_fifty_is_not_certain_to_be_none():
    """Two in a hundred show none in fifty in more than a third of all samples."""
    none, some = share_interval(0, 50), share_interval(1, 50)
    assert (none.value, none.low, none.n) == (0.0, 0.0, 50)
    assert 0.02 < none.high == pytest.approx(1.96**2 / (50 + 1.96**2), rel=1e-3)
    assert 0 < some.low < some.value == 0.02 < some.high


def test_rows_of_a_cluster_are_drawn_together():
    """Twenty equal rows of a member tell no more than one: the interval must not shrink."""
    values = np.random.default_rng(3).normal(size=60)
    single = bootstrap_mean(values, n_resamples=400)
    rows, clusters = np.repeat(values, 20), np.repeat(np.arange(60), 20)
    copied = bootstrap_statistic(lambda w: float(np.average(rows, weights=w)), clusters)
    assert (copied.value, copied.low, copied.high) == pytest.approx(
        (single.value, single.low, single.high)
    )
    assert copied.n == 60
    alone = bootstrap_statistic(lambda w: float(np.average(rows, weights=w)), np.arange(1200))
    assert alone.high - alone.low < 0.4 * (copied.high - copied.low)


def test_one_cluster_has_no_width():
    found = bootstrap_mean(np.array([0.7]))
    assert (found.low, found.high, found.n) == (0.7, 0.7, 1)


def test_each_resample_draws_as_many_clusters_as_there_are():
    weights = cluster_weights(30, n_resamples=50, seed=0)
    assert (weights.sum(axis=1) == 30).all()
    assert not np.array_equal(weights, cluster_weights(30, n_resamples=50, seed=1))


def test_resamples_without_a_value_are_left_out():
    found = from_resamples(0.5, np.array([np.nan, 0.0, 1.0, np.inf]), 4)
    assert (found.low, found.high) == pytest.approx((0.025, 0.975))


def test_no_resample_with_a_value_gives_no_interval():
    found = from_resamples(0.5, np.array([np.nan, np.nan]), 4)
    assert np.isnan([found.low, found.high]).all()


def test_clusters_are_numbered_in_the_order_of_their_keys():
    assert number_clusters(["b", "a", "b", "c"]).tolist() == [1, 0, 1, 2]
