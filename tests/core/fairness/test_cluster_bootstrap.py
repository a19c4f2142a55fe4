"""Guards the vectorized bootstrap against scikit-learn and against the plain loop."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tasks.core.fairness.cluster_bootstrap import (
    resampled_aucs,
    resampled_ratios,
    resampled_shares,
    sorted_pairs,
    sums_by_cluster,
    weight_blocks,
)

RNG = np.random.default_rng(0)
N, N_CLUSTERS, N_GROUPS = 400, 30, 3
CLUSTERS = RNG.integers(0, N_CLUSTERS, N)
CODES = RNG.integers(-1, N_GROUPS, N)
SCORES = RNG.integers(0, 15, N) / 15
POSITIVE = RNG.random(N) < 0.2 + 0.5 * SCORES
WEIGHTS = RNG.poisson(1.0, (N_CLUSTERS, 7)).astype(float)


def test_resampled_aucs_are_scikit_learns_weighted_ones():
    pairs = sorted_pairs(SCORES, POSITIVE, CLUSTERS, CODES, N_GROUPS)
    found = resampled_aucs(pairs, WEIGHTS)
    assert found.shape == (7, N_GROUPS)
    for draw in range(7):
        for group in range(N_GROUPS):
            rows = group == CODES
            expected = roc_auc_score(
                POSITIVE[rows], SCORES[rows], sample_weight=WEIGHTS[CLUSTERS[rows], draw]
            )
            assert found[draw, group] == pytest.approx(expected)


def test_auc_is_undefined_where_a_resample_drew_no_positive():
    pairs = sorted_pairs(
        np.array([0.2, 0.4]), np.array([True, False]), np.array([0, 1]), np.zeros(2, int), 1
    )
    found = resampled_aucs(pairs, np.array([[0.0, 2.0], [2.0, 1.0]]))
    assert np.isnan(found[0, 0])
    assert found[1, 0] == 0.0


def test_resampled_ratios_equal_repeating_the_rows():
    values = RNG.random(N)
    sums = sums_by_cluster(values, np.ones(N), CLUSTERS, CODES, (N_CLUSTERS, N_GROUPS))
    found = resampled_ratios(sums, WEIGHTS)
    repeats = np.repeat(np.arange(N), WEIGHTS[CLUSTERS, 2].astype(int))
    for group in range(N_GROUPS):
        expected = values[repeats][CODES[repeats] == group].mean()
        assert found[2, group] == pytest.approx(expected)


def test_resampled_shares_compare_shares_of_two_totals():
    # Group 0 holds 3/4 of the numerator and 1/2 of the denominator.
    sums = sums_by_cluster(np.array([3.0, 1.0]), np.ones(2), np.zeros(2, int), np.arange(2), (1, 2))
    assert resampled_shares(sums, np.ones((1, 1))).tolist() == [[1.5, 0.5]]


def test_every_resample_draws_as_many_clusters_as_there_are():
    first, *rest = weight_blocks(50, 3_000_000, n_resamples=5, seed=1)
    assert first.tolist() == [[1.0]] * 50
    drawn = np.concatenate(rest, axis=1)
    assert drawn.shape == (50, 5)
    assert drawn.sum(0).tolist() == [50.0] * 5


def test_draws_depend_on_the_seed_and_clusters_alone():
    one = np.concatenate(list(weight_blocks(20, 100, n_resamples=8, seed=3)), axis=1)
    again = np.concatenate(list(weight_blocks(20, 100, n_resamples=8, seed=3)), axis=1)
    other = np.concatenate(list(weight_blocks(20, 100, n_resamples=8, seed=4)), axis=1)
    assert (one == again).all()
    assert (one != other).any()
