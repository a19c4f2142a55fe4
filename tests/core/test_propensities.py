"""Guards the propensities on simulated logs whose truth is known."""

import numpy as np
import pytest
from sklearn.linear_model import PoissonRegressor

from tasks.core.errors import CookbookError
from tasks.core.propensities import (
    Propensities,
    estimate_propensities,
    inverse_propensity_weights,
)

TRUTH = 1.0 / np.log2(np.arange(2, 12))


def _log(n_lists, *, seed, spread, truth=TRUTH):
    """Lists of ten documents of 50, ranked by attraction plus noise of sd `spread`.

    Returns position, clicked, pair and attraction of each impression.
    """
    rng = np.random.default_rng(seed)
    n_queries, n_documents, k = 40, 12, len(truth)
    attraction = rng.beta(1.2, 2.0, (n_queries, n_documents))
    query = rng.integers(0, n_queries, n_lists)
    noisy = attraction[query] + spread * rng.normal(size=(n_lists, n_documents))
    document = np.argsort(-noisy, axis=1)[:, :k]
    position = np.tile(np.arange(1, k + 1), n_lists)
    shown = attraction[query[:, None], document]
    clicked = rng.random(shown.shape) < truth * shown
    pair = query[:, None] * n_documents + document
    return position, clicked.ravel().astype(int), pair.ravel(), shown.ravel()


def test_random_order_recovers_known_propensities():
    position, clicked, _, _ = _log(40_000, seed=0, spread=1e6)
    found = estimate_propensities(position, clicked, np.ones_like(position))
    assert found.method == "random_order"
    assert found.values == pytest.approx(TRUTH, rel=0.1)
    assert ((found.low <= TRUTH) & (found.high >= TRUTH)).sum() >= 8


def test_random_order_is_the_ratio_of_smoothed_click_rates():
    # 40 of 199 and 20 of 199, with half a click in one more row: 40.5/200 over 20.5/200.
    position = np.repeat([1, 2], 199)
    clicked = np.concatenate([np.arange(199) < 40, np.arange(199) < 20]).astype(int)
    found = estimate_propensities(position, clicked, np.ones_like(position))
    assert found.values.tolist() == pytest.approx([1.0, 20.5 / 40.5])
    assert (found.low[0], found.high[0]) == (1.0, 1.0)


def test_propensities_need_not_fall():
    truth = np.array([1.0, 0.3, 0.6, 0.2])
    position, clicked, _, _ = _log(20_000, seed=1, spread=1e6, truth=truth)
    found = estimate_propensities(position, clicked, np.ones_like(position))
    assert found.values == pytest.approx(truth, rel=0.1)


def test_ranked_impressions_do_not_disturb_the_random_ones():
    """In a ranked list the better documents stand higher: its click rates mix both causes."""
    position, clicked, _, _ = _log(30_000, seed=2, spread=1e6)
    ranked = _log(30_000, seed=2, spread=0.1)
    found = estimate_propensities(
        np.concatenate([position, ranked[0]]),
        np.concatenate([clicked, ranked[1]]),
        np.repeat([1, 0], len(position)),
    )
    assert found.values == pytest.approx(TRUTH, rel=0.1)


def test_intervention_harvesting_recovers_known_propensities_from_a_ranked_log():
    position, clicked, pair, _ = _log(60_000, seed=3, spread=0.3)
    naive = np.array([clicked[position == k].mean() for k in range(1, 11)])
    found = estimate_propensities(position, clicked, np.zeros_like(position), pairs=pair)
    assert found.method == "intervention_harvesting"
    assert found.values == pytest.approx(TRUTH, rel=0.1)
    assert ((found.low <= TRUTH) & (found.high >= TRUTH)).sum() >= 8
    # Without the correction the last position looks half as visible as it is.
    assert naive[-1] / naive[0] < 0.6 * TRUTH[-1]


def test_few_random_impressions_are_joined_by_pairs_that_moved():
    """At 5% random order the random click rates alone are off by a third."""
    position, clicked, pair, _ = _log(6000, seed=8, spread=0.3)
    random = _log(600, seed=9, spread=1e6)
    columns = [
        np.concatenate(both) for both in zip((position, clicked, pair), random, strict=False)
    ]
    at_random = np.repeat([0, 1], [len(position), len(random[0])])
    alone = estimate_propensities(*columns[:2], at_random)
    joined = estimate_propensities(*columns[:2], at_random, pairs=columns[2])
    assert (alone.method, joined.method) == ("random_order", "random_order_and_harvesting")
    assert (joined.high - joined.low)[1:].max() < 0.7 * (alone.high - alone.low)[1:].max()
    error = np.abs(np.log(joined.values / TRUTH))
    assert error.max() < 0.25
    assert ((joined.low <= TRUTH) & (joined.high >= TRUTH)).sum() >= 8


def test_relevance_strata_recover_known_propensities_given_relevance():
    position, clicked, _, shown = _log(60_000, seed=4, spread=0.3)
    found = estimate_propensities(
        position, clicked, np.zeros_like(position), relevance=5.0 * shown**2
    )
    assert found.method == "relevance_strata"
    assert found.values == pytest.approx(TRUTH, rel=0.1)


def test_a_log_that_allows_no_estimate_says_so():
    position, clicked, pair, _ = _log(500, seed=5, spread=0.0)
    # No pair is ever shown at two positions, and nothing else tells cause from cause.
    found = estimate_propensities(position, clicked, np.zeros_like(position), pairs=pair)
    assert found.method == "not_estimated"
    assert found.values.tolist() == [1.0] * 10
    assert found.to_json()["low"] == [None] * 10


def test_positions_from_the_cut_off_on_count_as_one():
    position, clicked, _, _ = _log(20_000, seed=6, spread=1e6)
    found = estimate_propensities(position, clicked, np.ones_like(position), max_position=5)
    assert len(found.values) == 5
    assert found.values[-1] == pytest.approx(TRUTH[4:].mean(), rel=0.05)
    assert found.at(np.array([5, 9, 70])).tolist() == [found.values[-1]] * 3


def test_the_likelihood_is_that_of_a_poisson_regression_with_a_level_for_each_stratum():
    """An independent fit: scikit-learn's Poisson regression on dummies of stratum and place."""
    position, clicked, pair, _ = _log(400, seed=10, spread=0.3)
    found = estimate_propensities(position, clicked, np.zeros_like(position), pairs=pair)
    # The half clicks, as rows of a stratum of their own.
    position, pair = np.append(position, np.arange(1, 11)), np.append(pair, np.full(10, -5))
    clicked = np.append(clicked, np.full(10, 0.5))
    with_click = np.isin(pair, pair[clicked > 0])
    position, clicked, pair = position[with_click], clicked[with_click], pair[with_click]
    dummies = np.concatenate(
        [pair[:, None] == np.unique(pair), position[:, None] == np.arange(2, 11)], axis=1
    )
    peer = PoissonRegressor(alpha=0.0, fit_intercept=False, tol=1e-10, max_iter=5000)
    logs = peer.fit(dummies.astype(float), clicked).coef_[-9:]
    assert np.log(found.values[1:]) == pytest.approx(logs, abs=2e-3)


def test_weights_are_inverse_propensities_up_to_the_clip():
    propensities = Propensities(
        np.array([1, 2, 3]), np.array([1.0, 0.5, 0.04]), np.ones(3), np.ones(3), "random_order"
    )
    found = inverse_propensity_weights(np.array([2, 1, 3]), propensities, clip=10.0)
    assert found.tolist() == [2.0, 1.0, 10.0]


def test_weighted_clicks_no_longer_depend_on_the_position():
    position, clicked, _, _ = _log(40_000, seed=7, spread=1e6)
    found = estimate_propensities(position, clicked, np.ones_like(position))
    weights = inverse_propensity_weights(position, found)
    rates = [(clicked * weights)[position == k].mean() for k in (1, 5, 10)]
    assert rates == pytest.approx([rates[0]] * 3, rel=1e-3)


@pytest.mark.parametrize(
    ("position", "clicked", "message"),
    [([0, 1], [0, 1], "count from 1"), ([1, 2], [0, 2], "0 or 1"), ([], [], "got none")],
)
def test_columns_that_cannot_be_meant_are_refused(position, clicked, message):
    with pytest.raises(CookbookError, match=message):
        estimate_propensities(
            np.array(position, int), np.array(clicked, int), np.zeros(len(position))
        )
