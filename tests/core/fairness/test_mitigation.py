"""Guards the mitigation: LiFT's exact maps, the paper's simulation, and what the dial means."""

import numpy as np
import pytest

from tasks.core.errors import CookbookError
from tasks.core.fairness.mitigation import (
    EqualOpportunityMap,
    fit_equal_opportunity,
    load_map,
    positive_distance,
    save_map,
)
from tasks.core.fairness.position_bias import estimate_position_bias

LIFT = EqualOpportunityMap(
    "attribute",
    1.0,
    {"0": np.array([1.0, 2, 3, 6, 7]), "1": np.array([1.0, 3, 5])},
    {"0": np.array([2.0, 4, 5, 11, 11]), "1": np.array([10.0, 4, 2])},
)


def _paper(n_sessions, seed):
    """The simulation of Nandy et al. 2021: 50 slots, C ~ Bernoulli(.6), bias 1/log2(1 + j)."""
    rng = np.random.default_rng(seed)
    shape = (n_sessions, 50)
    group = (rng.random(shape) < 0.6).astype(int)
    would_click = rng.random(shape) < np.where(group == 1, 0.5, 0.4)
    relevance = 0.6 * would_click + 2 * group + 0.5 * rng.normal(size=shape)
    relevance += (1 - group) * rng.random(shape) * (1 + would_click)
    score = relevance + 0.1 * rng.normal(size=shape)
    return score, would_click, group, rng


def _served(score, would_click, rng):
    position = np.argsort(np.argsort(-score, axis=1), axis=1) + 1
    return position, would_click & (rng.random(score.shape) < 1 / np.log2(1 + position))


def _names(group):
    return [str(g) for g in group.ravel()]


def test_maps_are_linear_between_knots_and_flat_outside_as_in_lift():
    scores = np.array([0.0, 1.0, 1.5, 3.2, 6.2, 10.0])
    assert LIFT.apply(scores, ["0"] * 6).tolist() == pytest.approx([2, 2, 3, 5.4, 11, 11])
    assert LIFT.apply(np.array([0.0, 1.5, 4.0, 6.0]), ["1"] * 4).tolist() == [10, 8.5, 3, 2]


def test_uniform_positives_map_to_themselves():
    rng = np.random.default_rng(0)
    scores = rng.random(20_000)
    found = fit_equal_opportunity(
        scores, np.ones(20_000, bool), ["a", "b"] * 10_000, attribute="g", original_scale=False
    )
    at = np.array([0.0, 0.25, 0.5, 1.0])
    assert found.apply(at, ["a"] * 4).tolist() == pytest.approx(at.tolist(), abs=0.015)


def test_groups_that_already_agree_keep_their_scores_on_the_original_scale():
    rng = np.random.default_rng(1)
    scores = rng.normal(size=40_000)
    found = fit_equal_opportunity(
        scores, rng.random(40_000) < 0.5, ["a", "b"] * 20_000, attribute="g"
    )
    at = np.linspace(-2, 2, 9)
    assert found.apply(at, ["b"] * 9).tolist() == pytest.approx(at.tolist(), abs=0.06)


def test_the_papers_simulation_ends_with_equal_positives_on_new_data():
    score, would_click, group, rng = _paper(2500, seed=1)
    position, clicked = _served(score, would_click, rng)
    bias = estimate_position_bias(score.ravel(), clicked.ravel(), position.ravel(), cutoff=20)
    fitted = fit_equal_opportunity(
        score.ravel(),
        clicked.ravel(),
        _names(group),
        attribute="c",
        weights=1.0 / bias[position.ravel() - 1],
    )
    score, would_click, group, rng = _paper(2500, seed=2)
    fair = fitted.apply(score.ravel(), _names(group)).reshape(score.shape)
    for scores, close in ((score, False), (fair, True)):
        _, clicked = _served(scores, would_click, rng)
        (gap,) = positive_distance(scores.ravel(), clicked.ravel(), _names(group)).values()
        assert (gap < 0.05) == close
    before, after = (np.quantile(s, np.linspace(0, 1, 1001)) for s in (score, fair))
    assert ((before - after) ** 2).mean() < 0.05


def test_position_weights_matter():
    """Uncorrected, a group that stands low has its low positives missing from the map."""
    score, would_click, group, rng = _paper(2500, seed=3)
    position, clicked = _served(score, would_click, rng)
    truth = 1.0 / np.log2(1 + position.ravel())
    gaps = []
    for weights in (1.0 / truth, None):
        fitted = fit_equal_opportunity(
            score.ravel(), clicked.ravel(), _names(group), attribute="c", weights=weights
        )
        fair = fitted.apply(score.ravel(), _names(group))
        (gap,) = positive_distance(fair, would_click.ravel(), _names(group)).values()
        gaps.append(gap)
    assert gaps[0] < 0.3 * gaps[1]


def test_a_weight_counts_a_row_that_many_times():
    rng = np.random.default_rng(4)
    scores, times = rng.random(300), rng.integers(1, 4, 300)
    groups = np.array(["a", "b"])[np.arange(300) % 2]
    options = {"attribute": "g", "original_scale": False, "n_quantiles": 20}
    weighted = fit_equal_opportunity(
        scores, np.ones(300, bool), groups.tolist(), weights=times.astype(float), **options
    )
    repeated = fit_equal_opportunity(
        np.repeat(scores, times),
        np.ones(times.sum(), bool),
        np.repeat(groups, times).tolist(),
        **options,
    )
    assert weighted.knots["a"] == pytest.approx(repeated.knots["a"], abs=0.01)


def test_the_dial_mixes_old_and_new():
    half = LIFT.with_dial(0.25)
    assert half.apply(np.array([3.0]), ["0"]).tolist() == [0.25 * 5 + 0.75 * 3]
    assert LIFT.with_dial(0.0).apply(np.array([3.3]), ["0"]).tolist() == [3.3]
    with pytest.raises(CookbookError, match="between 0"):
        LIFT.with_dial(1.2)


def test_rows_of_no_known_group_keep_their_scores():
    found = LIFT.apply(np.array([3.0, 3.0]), [None, "elsewhere"])
    assert found.tolist() == [3.0, 3.0]


def test_the_order_within_a_group_is_kept():
    rng = np.random.default_rng(5)
    scores, groups = rng.normal(size=2000), ["a", "b"] * 1000
    fitted = fit_equal_opportunity(scores, rng.random(2000) < 0.4, groups, attribute="g")
    mapped = fitted.apply(scores, groups)[::2]
    assert (np.diff(mapped[np.argsort(scores[::2])]) >= 0).all()


def test_a_group_with_few_positives_keeps_its_scores():
    scores = np.random.default_rng(6).random(220)
    groups = ["a"] * 100 + ["b"] * 100 + ["c"] * 20
    fitted = fit_equal_opportunity(scores, np.ones(220, bool), groups, attribute="g")
    assert set(fitted.knots) == {"a", "b"}
    with pytest.raises(CookbookError, match="two groups"):
        fit_equal_opportunity(scores[100:], np.ones(120, bool), groups[100:], attribute="g")


def test_a_saved_map_is_read_back_exactly(tmp_path):
    rng = np.random.default_rng(7)
    scores, groups = rng.random(400), ["a", "b"] * 200
    fitted = fit_equal_opportunity(scores, np.ones(400, bool), groups, attribute="g", dial=0.3)
    save_map(fitted, tmp_path / "map.json")
    again = load_map(tmp_path / "map.json")
    assert (again.attribute, again.dial) == ("g", 0.3)
    assert (again.apply(scores, groups) == fitted.apply(scores, groups)).all()


def test_distance_of_shifted_positives_is_the_shift_squared():
    scores = np.random.default_rng(8).random(100)
    both = np.concatenate([scores, scores + 0.5])
    found = positive_distance(both, np.ones(200, bool), ["a"] * 100 + ["b"] * 100)
    assert found == {("a", "b"): pytest.approx(0.25)}
