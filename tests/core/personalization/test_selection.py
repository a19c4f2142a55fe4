"""Passes and L2 weights are chosen on the latest rows, and the model then sees all rows."""

import numpy as np
import pytest

from tasks.core.personalization.coordinate_descent import coordinate_descent
from tasks.core.personalization.game_model import RandomEffect
from tasks.core.personalization.options import RandomEffectOptions
from tasks.core.personalization.rows import Rows
from tasks.core.personalization.selection import fit_selected, l2_weights
from tests.core.personalization.simulated_clicks import simulate_clicks

OPTIONS = RandomEffectOptions(intercept="penalized")
GAME = (
    RandomEffect("per_member", "member", "x", OPTIONS),
    RandomEffect("per_job", "job", None, OPTIONS),
)


@pytest.fixture
def rows() -> Rows:
    log = simulate_clicks([20] * 30, features=3, seed=4)
    jobs = np.random.default_rng(0).integers(0, 12, len(log.members)).astype(str)
    return Rows(
        [f"row_{i}" for i in range(len(log.members))],
        log.labels,
        {"x": log.features},
        {"member": log.members, "job": jobs},
    )


def test_the_model_is_that_of_all_rows_with_the_passes_the_latest_rows_chose(rows: Rows) -> None:
    latest = np.arange(len(rows)) % 5 == 0
    found = fit_selected(rows, GAME, latest, passes=4)
    early, late = rows.take(np.flatnonzero(~latest)), rows.take(np.flatnonzero(latest))
    chosen = coordinate_descent(early, GAME, passes=4, validation=late)
    assert chosen.best is not None
    assert found.passes == chosen.best.descent_pass
    assert max(step.metric for step in found.history[1:]) == chosen.best.metric
    expected = coordinate_descent(rows, GAME, passes=found.passes)
    np.testing.assert_array_equal(found.model.score(rows), expected.score(rows))


def test_without_latest_rows_all_passes_are_made(rows: Rows) -> None:
    found = fit_selected(rows, GAME, np.zeros(len(rows), np.bool_), passes=3)
    assert (found.passes, found.history, found.trials) == (3, (), ())
    assert found.model.history[-1].descent_pass == 3


def test_a_search_sets_the_weights_that_its_best_trial_had(rows: Rows) -> None:
    latest = np.arange(len(rows)) % 5 == 0
    found = fit_selected(rows, GAME, latest, passes=1, trials=5, metric="logistic_loss")
    best = min(found.trials, key=lambda trial: trial.metric)
    assert l2_weights(found.model.coordinates) == best.l2_weights
    assert len(found.trials) == 5
