"""Effects in service brought up to date with newer impressions, the scorer untouched."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.core.click_splits import Caps, cap_uses, reserved
from tasks.core.domain.catalog import Catalog
from tasks.core.intervals import Interval, bootstrap_statistic, number_clusters
from tasks.core.personalization.coordinate_descent import coordinate_descent
from tasks.core.personalization.effects import Effects, given_to, kinds_of
from tasks.core.personalization.game_model import Coordinate, GivenScores, RandomEffect
from tasks.core.personalization.random_effects import fit_random_effect
from tasks.core.personalization.rows import ScoreTable
from tasks.core.personalization.sharded_fit import Fit
from tasks.core.ranking import weighted_auc
from tasks.core.tables import Row

Floats = npt.NDArray[np.float64]
Columns = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class NewImpressions:
    """Impressions newer than what the effects learned: earlier ones fit, later ones test."""

    fitting: list[Row]
    testing: list[Row]

    @property
    def rows(self) -> list[Row]:
        return [*self.fitting, *self.testing]

    @property
    def can_test(self) -> bool:
        """Whether a rank can be told from none: the testing rows hold clicks and others."""
        return len({row["clicked"] for row in self.testing}) == 2


def new_impressions(
    columns: Columns,
    *,
    after: int,
    held_out_members: float,
    testing_share: float,
    fitting_rows: int,
    testing_rows: int,
    seed: int,
    forgotten: Container[str] = (),
) -> NewImpressions:
    """Rows of people after the second `after`; members held out of all training stay out.

    So do those `forgotten`: the log may still hold them.

    `columns` are those of the click log, without bots. At most `fitting_rows` and
    `testing_rows` are drawn, whole impressions at a time.
    """
    kept = (columns["timestamp"] > after) & (columns["member_id"] != "")
    kept &= ~reserved(columns["member_id"], held_out_members=held_out_members)
    if forgotten:
        members, places = np.unique(columns["member_id"], return_inverse=True)
        kept &= np.array([member not in forgotten for member in members], np.bool_)[places]
    new = {name: values[kept] for name, values in columns.items()}
    if not kept.any():
        return NewImpressions([], [])
    cut = np.quantile(new["timestamp"], 1 - testing_share)
    uses = np.where(new["timestamp"] > cut, "later", "personalize")
    caps = Caps(train=0, personalize=fitting_rows, later=testing_rows, calibrate=0, held_out=0)
    drawn = cap_uses(uses, new["impression_id"], caps, seed=seed)
    parts = [
        {name: values[drawn & (uses == use)].tolist() for name, values in new.items()}
        for use in ("personalize", "later")
    ]
    fitting, testing = (
        [dict(zip(part, row, strict=True)) for row in zip(*part.values(), strict=True)]
        for part in parts
    )
    return NewImpressions(fitting, testing)


def refresh(
    effects: Effects,
    rows: Sequence[Row],
    click_logits: Floats,
    catalog: Catalog,
    *,
    passes: int,
    prior_weight: float,
    fit: Fit = fit_random_effect,
) -> Effects:
    """Fit on newer rows with their click logits (n,), the effects in service as a Gaussian prior.

    Entities and features without a new row keep what they had. The feature map stays too:
    coefficients mean nothing in another one.
    """
    joined = effects.view.rows(rows, click_logits, kinds_of(effects.game), catalog)
    table = ScoreTable(joined.row_ids, click_logits)
    coordinates = [_ready(one, table, prior_weight) for one in effects.game.coordinates]
    game = coordinate_descent(
        joined, coordinates, passes=passes, warm_start=effects.game, incremental=True, fit=fit
    )
    newest = max(int(row["timestamp"]) for row in rows)
    return replace(effects, game=game, learned_until=newest)


def refresh_gain(
    before: Effects,
    after: Effects,
    rows: Sequence[Row],
    click_logits: Floats,
    catalog: Catalog,
) -> tuple[Interval, Interval, Interval]:
    """Click AUC on rows that neither saw: of the effects in service, of the new ones, and the
    difference, paired and resampled by member.
    """
    joined = after.view.rows(rows, click_logits, kinds_of(after.game), catalog)
    labels = joined.checked_labels()
    members = number_clusters([row["member_id"] for row in rows])
    old, new = (
        one.game.score(joined, given_to(one.game, joined, click_logits)) for one in (before, after)
    )
    statistics = (
        lambda w: weighted_auc(labels, old, w),
        lambda w: weighted_auc(labels, new, w),
        lambda w: weighted_auc(labels, new, w) - weighted_auc(labels, old, w),
    )
    found = [bootstrap_statistic(statistic, members) for statistic in statistics]
    return found[0], found[1], found[2]


def _ready(one: Coordinate, table: ScoreTable, prior_weight: float) -> Coordinate:
    if isinstance(one, GivenScores):
        return replace(one, table=table)
    if isinstance(one, RandomEffect):
        return replace(one, options=replace(one.options, prior_weight=prior_weight))
    return one
