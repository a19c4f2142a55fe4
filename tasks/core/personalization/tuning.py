"""L2 weights per coordinate by Bayesian search on a validation metric, and along a path."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tasks.core.errors import CookbookError
from tasks.core.personalization.coordinate_descent import coordinate_descent
from tasks.core.personalization.game_model import Coordinate, GameModel, GivenScores
from tasks.core.personalization.random_effects import fit_random_effect
from tasks.core.personalization.rows import Rows
from tasks.core.personalization.sharded_fit import Fit
from tasks.core.personalization.validation_metrics import METRICS, Metric, is_better

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Trial:
    """L2 weights by coordinate and the validation metric they gave."""

    l2_weights: Mapping[str, float]
    metric: float


@dataclass(frozen=True)
class TunedGame:
    """The best trial, its model, and every trial in the order it was made."""

    best: Trial
    model: GameModel
    trials: tuple[Trial, ...]


def tune_l2(
    rows: Rows,
    coordinates: Sequence[Coordinate],
    validation: Rows,
    *,
    metric: Metric = "auc",
    passes: int = 2,
    trials: int = 20,
    lowest: float = 1e-3,
    highest: float = 1e3,
    seed: int = 0,
    earlier: Sequence[Trial] = (),
    fit: Fit = fit_random_effect,
) -> TunedGame:
    """Search one L2 weight per trained coordinate, on a log scale from `lowest` to `highest`.

    Every fit starts from the best model so far, and `earlier` trials inform the search, so a daily
    search starts where yesterday's ended. Raises CookbookError if optuna is not installed.
    Source: Gaussian process with expected improvement, Snoek et al. (2012), by optuna.
    """
    names = [c.name for c in coordinates if not isinstance(c, GivenScores)]
    study, distributions = _study(names, lowest, highest, METRICS[metric][1], seed, earlier)
    found: list[Trial] = []
    best: tuple[Trial, GameModel] | None = None
    for _ in range(trials):
        asked = study.ask(distributions)
        weights = {name: float(asked.params[name]) for name in names}
        model = coordinate_descent(
            rows,
            with_l2(coordinates, weights),
            passes=passes,
            validation=validation,
            metric=metric,
            warm_start=best[1] if best else None,
            fit=fit,
        )
        value = model.best.metric if model.best else float("nan")
        study.tell(asked, value)
        found.append(Trial(weights, value))
        if best is None or is_better(value, best[0].metric, metric):
            best = (found[-1], model)
    if best is None:
        raise CookbookError(f"Expected 1 trial or more, got {trials}.")
    return TunedGame(best[0], best[1], tuple(found))


def _study(
    names: Sequence[str],
    lowest: float,
    highest: float,
    higher: bool,
    seed: int,
    earlier: Sequence[Trial],
) -> "tuple[optuna.Study, dict[str, optuna.distributions.BaseDistribution]]":
    try:
        import optuna
    except ImportError as error:
        raise CookbookError(
            "Tuning needs optuna, which is not installed; run `pip install optuna`."
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.GPSampler(seed=seed, n_startup_trials=min(2 * len(names) + 1, 10))
    study = optuna.create_study(direction="maximize" if higher else "minimize", sampler=sampler)
    span = optuna.distributions.FloatDistribution(lowest, highest, log=True)
    distributions: dict[str, optuna.distributions.BaseDistribution] = dict.fromkeys(names, span)
    for trial in earlier:
        weights = {name: trial.l2_weights[name] for name in names}
        study.add_trial(
            optuna.trial.create_trial(
                params=weights, distributions=distributions, value=trial.metric
            )
        )
    return study, distributions


def with_l2(coordinates: Sequence[Coordinate], l2_weights: Mapping[str, float]) -> list[Coordinate]:
    """The coordinates with other L2 weights; those not named keep theirs."""
    return [
        coordinate
        if isinstance(coordinate, GivenScores)
        else replace(
            coordinate,
            options=replace(
                coordinate.options,
                l2_weight=l2_weights.get(coordinate.name, coordinate.options.l2_weight),
            ),
        )
        for coordinate in coordinates
    ]


def regularization_path(
    rows: Rows,
    coordinates: Sequence[Coordinate],
    l2_weights: Sequence[Mapping[str, float]],
    *,
    validation: Rows | None = None,
    metric: Metric = "auc",
    passes: int = 2,
) -> list[GameModel]:
    """A model for each set of L2 weights, in order, each started from the previous one.

    Source: Photon ML trains a list of regularization weights in this way.
    """
    models: list[GameModel] = []
    for weights in l2_weights:
        models.append(
            coordinate_descent(
                rows,
                with_l2(coordinates, weights),
                passes=passes,
                validation=validation,
                metric=metric,
                warm_start=models[-1] if models else None,
            )
        )
    return models
