"""Training of a fixed effect and random effects in turns, each seeing the others as its offset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tasks.core.errors import CookbookError
from tasks.core.personalization.game_model import (
    Coordinate,
    DescentStep,
    FixedEffect,
    GameModel,
    GivenScores,
    RandomEffect,
    entities_of,
    given_scores,
    score_coordinate,
)
from tasks.core.personalization.random_effect_model import RandomEffectModel
from tasks.core.personalization.random_effects import fit_random_effect
from tasks.core.personalization.rows import Rows
from tasks.core.personalization.sharded_fit import Fit
from tasks.core.personalization.validation_metrics import (
    METRICS,
    Metric,
    is_better,
    per_row_losses,
)

Array = npt.NDArray[np.float64]


def coordinate_descent(
    rows: Rows,
    coordinates: Sequence[Coordinate],
    *,
    passes: int = 2,
    validation: Rows | None = None,
    metric: Metric = "auc",
    warm_start: GameModel | None = None,
    locked: Sequence[str] = (),
    incremental: bool = False,
    fit: Fit = fit_random_effect,
) -> GameModel:
    """Train the coordinates in their order, `passes` times over.

    A coordinate's offset is the sum of all other coordinates' current scores, exactly. The model
    kept is the one of best `metric` on `validation` among those with every coordinate trained,
    or the last one. `warm_start` gives start values and the models of `locked` coordinates;
    `incremental` also makes it a Gaussian prior. With one coordinate to train, one pass is all.
    `fit` fits one coordinate: a `ShardedFit` does so in parts that survive a kill.
    Raises CookbookError on locked coordinates without a model, and if all are locked.
    Source: Photon ML's CoordinateDescent; GDMix ships a single pass.
    """
    descent = _Descent(rows, tuple(coordinates), warm_start, tuple(locked), incremental, fit)
    descent.start(validation)
    trained = descent.trainable()
    history: list[DescentStep] = []
    best: tuple[DescentStep, dict[str, RandomEffectModel]] | None = None
    for descent_pass in range(1, (passes if len(trained) > 1 else 1) + 1):
        for coordinate in trained:
            descent.update(coordinate)
            history.append(descent.step(descent_pass, coordinate, validation, metric))
            complete = len(history) >= len(trained)
            if complete and (best is None or _improves(history[-1], best[0], metric)):
                best = (history[-1], dict(descent.models))
    if best is None:
        raise CookbookError(f"Expected 1 pass or more, got {passes}; nothing was trained.")
    return GameModel(tuple(coordinates), best[1], tuple(history), best[0])


def _improves(step: DescentStep, best: DescentStep, metric: Metric) -> bool:
    """Better on validation; without validation the later one is as good as any."""
    return bool(np.isnan(step.metric)) or is_better(step.metric, best.metric, metric)


@dataclass
class _Descent:
    """Where the descent stands: current models and scores of every coordinate."""

    rows: Rows
    coordinates: tuple[Coordinate, ...]
    warm_start: GameModel | None
    locked: tuple[str, ...]
    incremental: bool
    fit: Fit
    models: dict[str, RandomEffectModel] = field(default_factory=dict)
    scores: dict[str, Array] = field(default_factory=dict)
    held_out: dict[str, Array] = field(default_factory=dict)
    validation: Rows | None = None

    def start(self, validation: Rows | None) -> None:
        """Scores before any training: given tables and earlier models, else 0."""
        self._check()
        self.validation = validation
        self.models = dict(self.earlier())
        for coordinate in self.coordinates:
            self._rescore(coordinate)

    def _check(self) -> None:
        names = [coordinate.name for coordinate in self.coordinates]
        unknown = sorted(set(self.locked) - set(self.earlier()))
        if len(set(names)) != len(names):
            raise CookbookError(f"Expected distinct coordinate names, got {names}; rename some.")
        if unknown:
            raise CookbookError(
                f"Locked coordinates need a model in warm_start, {unknown} have none; unlock or "
                "train them first."
            )
        if not self.trainable():
            raise CookbookError(f"Expected a coordinate to train, all of {names} are fixed.")

    def earlier(self) -> Mapping[str, RandomEffectModel]:
        """Models of the warm start for the coordinates of this descent."""
        names = {coordinate.name for coordinate in self.coordinates}
        known = self.warm_start.models if self.warm_start else {}
        return {name: model for name, model in known.items() if name in names}

    def trainable(self) -> list[FixedEffect | RandomEffect]:
        """Coordinates that are neither given nor locked."""
        return [
            coordinate
            for coordinate in self.coordinates
            if not isinstance(coordinate, GivenScores) and coordinate.name not in self.locked
        ]

    def update(self, coordinate: FixedEffect | RandomEffect) -> None:
        """Fit one coordinate on the others' scores as offset, from where it stood."""
        features, names = self.rows.features_of(coordinate.features)
        others = [scores for name, scores in self.scores.items() if name != coordinate.name]
        self.models[coordinate.name] = self.fit(
            entities_of(coordinate, self.rows),
            features,
            self.rows.checked_labels(),
            offsets=np.sum(others, axis=0) if others else None,
            weights=self.rows.weights,
            row_ids=self.rows.row_ids,
            feature_names=names,
            options=coordinate.options,
            warm_start=self.earlier().get(coordinate.name),
            prior=self.earlier().get(coordinate.name) if self.incremental else None,
            start=self.models.get(coordinate.name),
        )
        self._rescore(coordinate)

    def _rescore(self, coordinate: Coordinate) -> None:
        self.scores[coordinate.name] = self._scores_on(self.rows, coordinate)
        if self.validation is not None:
            self.held_out[coordinate.name] = self._scores_on(self.validation, coordinate)

    def _scores_on(self, rows: Rows, coordinate: Coordinate) -> Array:
        if isinstance(coordinate, GivenScores):
            return given_scores(coordinate.name, coordinate.table, rows)
        model = self.models.get(coordinate.name)
        return np.zeros(len(rows)) if model is None else score_coordinate(coordinate, model, rows)

    def step(
        self,
        descent_pass: int,
        coordinate: FixedEffect | RandomEffect,
        validation: Rows | None,
        metric: Metric,
    ) -> DescentStep:
        """The record of the update just made."""
        summary = self.models[coordinate.name].report.summary()
        penalties = sum(m.report.penalty for m in self.models.values())
        value = float("nan")
        if validation is not None:
            total = np.sum(list(self.held_out.values()), axis=0)
            value = METRICS[metric][0](validation.checked_labels(), total)
        loss = self._training_loss(coordinate)
        return DescentStep(descent_pass, coordinate.name, value, loss + penalties, summary)

    def _training_loss(self, coordinate: FixedEffect | RandomEffect) -> float:
        total = np.sum(list(self.scores.values()), axis=0)
        weights = np.ones(len(self.rows)) if self.rows.weights is None else self.rows.weights
        losses = per_row_losses(coordinate.options.task, self.rows.checked_labels(), total)
        return float(np.asarray(weights, np.float64) @ losses)
