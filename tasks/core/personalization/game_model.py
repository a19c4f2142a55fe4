"""A fixed effect and random effects whose scores add up."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.core.errors import CookbookError
from tasks.core.personalization.entities import Ids
from tasks.core.personalization.options import RandomEffectOptions
from tasks.core.personalization.random_effect_model import RandomEffectModel
from tasks.core.personalization.rows import Rows, ScoreTable

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class GivenScores:
    """A fixed effect trained elsewhere, known by its score per row: the student's logits.

    A saved model keeps the name alone; its rows' scores are then given when it scores.
    """

    name: str
    table: ScoreTable | None = None


@dataclass(frozen=True)
class FixedEffect:
    """One model for all rows on the feature set `features`."""

    name: str
    features: str
    options: RandomEffectOptions = field(default_factory=RandomEffectOptions)


@dataclass(frozen=True)
class RandomEffect:
    """One model per entity of the kind `entity`; without `features`, an intercept alone."""

    name: str
    entity: str
    features: str | None = None
    options: RandomEffectOptions = field(default_factory=RandomEffectOptions)


Coordinate = GivenScores | FixedEffect | RandomEffect


def entities_of(coordinate: FixedEffect | RandomEffect, rows: Rows) -> Ids:
    """Which model each row uses (n,): its entity's, or the one model of a fixed effect."""
    if isinstance(coordinate, RandomEffect):
        return rows.entities_of(coordinate.entity)
    return pa.repeat("", len(rows))


@dataclass(frozen=True)
class DescentStep:
    """What one update of one coordinate did; `metric` on the validation rows, NaN without any.

    `objective` is the joint one: the loss of all training rows plus every coordinate's penalty.
    """

    descent_pass: int
    coordinate: str
    metric: float
    objective: float
    summary: Mapping[str, float]


@dataclass(frozen=True)
class GameModel:
    """Models by coordinate, in declared order; the total score is the sum of theirs.

    `history` has a step per (pass, coordinate); `best` is the one whose models these are.
    Source: generalized additive mixed effects, Zhang et al., GLMix (KDD 2016).
    """

    coordinates: tuple[Coordinate, ...]
    models: Mapping[str, RandomEffectModel]
    history: tuple[DescentStep, ...] = ()
    best: DescentStep | None = None

    def score(self, rows: Rows, tables: Mapping[str, ScoreTable] | None = None) -> Array:
        """Total logit (n,) of each row; see `coordinate_scores`."""
        parts = self.coordinate_scores(rows, tables)
        return np.asarray(np.sum(list(parts.values()), axis=0), np.float64)

    def coordinate_scores(
        self, rows: Rows, tables: Mapping[str, ScoreTable] | None = None
    ) -> dict[str, Array]:
        """Each coordinate's own score (n,). An entity without a model scores 0.

        `tables` gives the scores of coordinates trained elsewhere, if not those of training.
        Raises CookbookError if a row has no given score.
        """
        found = {}
        for coordinate in self.coordinates:
            if isinstance(coordinate, GivenScores):
                own = (tables or {}).get(coordinate.name, coordinate.table)
                found[coordinate.name] = given_scores(coordinate.name, own, rows)
            else:
                found[coordinate.name] = score_coordinate(
                    coordinate, self.models[coordinate.name], rows
                )
        return found


def given_scores(name: str, table: ScoreTable | None, rows: Rows) -> Array:
    """The rows' scores (n,) in `table`. Raises CookbookError without a table or on missing rows."""
    if table is None:
        raise CookbookError(
            f"Expected a score table for the given coordinate {name!r}, got none; a saved model "
            "does not hold it, so pass it in `tables`."
        )
    return table.at(rows.row_ids)


def score_coordinate(
    coordinate: FixedEffect | RandomEffect, model: RandomEffectModel, rows: Rows
) -> Array:
    """Scores (n,) of one coordinate alone."""
    features, names = rows.features_of(coordinate.features)
    return model.score(entities_of(coordinate, rows), features, names)
