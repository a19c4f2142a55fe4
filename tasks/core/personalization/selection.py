"""How many passes, and how strong a pull towards zero: chosen on later rows, then fitted on all."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.core.personalization.coordinate_descent import coordinate_descent
from tasks.core.personalization.game_model import (
    Coordinate,
    DescentStep,
    FixedEffect,
    GameModel,
    RandomEffect,
)
from tasks.core.personalization.random_effects import fit_random_effect
from tasks.core.personalization.rows import Rows
from tasks.core.personalization.sharded_fit import Fit
from tasks.core.personalization.tuning import Trial, tune_l2, with_l2
from tasks.core.personalization.validation_metrics import Metric


@dataclass(frozen=True)
class Selected:
    """The model on all rows, and how it was chosen on part of them.

    `history` are the updates of the fit that chose, with their metric; `trials` those of the
    search for L2 weights, empty without one.
    """

    model: GameModel
    passes: int
    history: tuple[DescentStep, ...]
    trials: tuple[Trial, ...]


def fit_selected(
    rows: Rows,
    coordinates: Sequence[Coordinate],
    latest: npt.NDArray[np.bool_],
    *,
    passes: int,
    trials: int = 0,
    metric: Metric = "auc",
    seed: int = 0,
    fit: Fit = fit_random_effect,
) -> Selected:
    """Choose the number of passes on the `latest` rows (n,), then fit all rows with it.

    Effects are served on impressions of the days after, so the later rows choose. With
    `trials`, one L2 weight per coordinate is searched on them first. Without a latest row
    nothing is chosen: all passes are made. `fit` is as in `coordinate_descent`.
    """
    coordinates = tuple(coordinates)
    if not latest.any():
        model = coordinate_descent(rows, coordinates, passes=passes, fit=fit)
        return Selected(model, passes, (), ())
    early, late = rows.take(np.flatnonzero(~latest)), rows.take(np.flatnonzero(latest))
    if trials:
        tuned = tune_l2(
            early, coordinates, late,
            metric=metric, passes=passes, trials=trials, seed=seed, fit=fit,
        )  # fmt: skip
        chosen, found = tuned.model, tuned.trials
        coordinates = tuple(with_l2(coordinates, tuned.best.l2_weights))
    else:
        chosen = coordinate_descent(
            early, coordinates, passes=passes, validation=late, metric=metric, fit=fit
        )
        found = ()
    best = chosen.best.descent_pass if chosen.best else passes
    model = coordinate_descent(rows, coordinates, passes=best, fit=fit)
    return Selected(model, best, chosen.history, found)


def l2_weights(coordinates: Sequence[Coordinate]) -> dict[str, float]:
    """The L2 weight of each coordinate that is trained here."""
    return {
        one.name: one.options.l2_weight
        for one in coordinates
        if isinstance(one, FixedEffect | RandomEffect)
    }
