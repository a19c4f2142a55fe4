"""Search of L2 weights: finds the better region, repeats itself, learns from earlier trials."""

import numpy as np

from tasks.core.personalization.coordinate_descent import coordinate_descent
from tasks.core.personalization.game_model import RandomEffect
from tasks.core.personalization.options import RandomEffectOptions
from tasks.core.personalization.rows import Rows
from tasks.core.personalization.tuning import Trial, regularization_path, tune_l2, with_l2
from tests.core.personalization.simulated_clicks import simulate_clicks

GAME = [RandomEffect("per_member", "member", "x", RandomEffectOptions(intercept="penalized"))]


def split_clicks() -> tuple[Rows, Rows]:
    """Weak tastes and few rows, so that a strong penalty is better than none."""
    log = simulate_clicks([24] * 40, features=4, seed=3, taste=0.4)
    held_out = np.arange(len(log.members)) % 2 == 0
    parts = []
    for own in (~held_out, held_out):
        members = np.array(log.members)[own]
        ids = [f"row_{i}" for i in np.flatnonzero(own)]
        parts.append(Rows(ids, log.labels[own], {"x": log.features[own]}, {"member": members}))
    return parts[0], parts[1]


def test_the_search_beats_a_poor_start_and_repeats_with_its_seed() -> None:
    rows, held_out = split_clicks()
    poor = coordinate_descent(rows, with_l2(GAME, {"per_member": 1e-3}), validation=held_out,
                              metric="logistic_loss")  # fmt: skip
    results = [
        tune_l2(rows, GAME, held_out, metric="logistic_loss", trials=8, seed=5) for _ in range(2)
    ]
    assert poor.best is not None
    assert results[0].best.metric < poor.best.metric - 0.01
    assert results[0].best.metric == min(trial.metric for trial in results[0].trials)
    assert results[0].trials == results[1].trials
    assert 1 < results[0].best.l2_weights["per_member"] < 1000


def test_earlier_trials_steer_the_first_new_ones() -> None:
    """With enough earlier trials the search must not begin at random again."""
    rows, held_out = split_clicks()
    known = [
        Trial({"per_member": weight}, loss)
        for weight, loss in ((1e-3, 0.9), (1e-2, 0.85), (0.1, 0.8), (1.0, 0.72), (10.0, 0.65),
                             (30.0, 0.66), (100.0, 0.68), (900.0, 0.69))
    ]  # fmt: skip
    found = tune_l2(rows, GAME, held_out, metric="logistic_loss", trials=2, seed=5, earlier=known)
    assert all(2 < trial.l2_weights["per_member"] < 60 for trial in found.trials)


def test_a_path_started_from_the_previous_weight_reaches_the_same_models() -> None:
    rows, held_out = split_clicks()
    weights = [{"per_member": weight} for weight in (100.0, 10.0, 1.0)]
    path = regularization_path(rows, GAME, weights, validation=held_out)
    for model, weight in zip(path, weights, strict=True):
        alone = coordinate_descent(rows, with_l2(GAME, weight), validation=held_out)
        np.testing.assert_allclose(
            model.models["per_member"].dense(), alone.models["per_member"].dense(), atol=1e-8
        )
