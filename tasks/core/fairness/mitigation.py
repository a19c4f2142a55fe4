"""Equality of opportunity for rankings: the relevant of every group score alike.

Within each group a score becomes its rank among the group's positives (its empirical CDF),
so that positives of all groups share one distribution; the result is mapped back to the
scale of the pooled scores, so that thresholds and mixtures keep working; a dial mixes it
with the old score. The group of a row must be known when scores are mapped.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.core.errors import CookbookError

FloatArray = npt.NDArray[np.float64]

# A quantile map from fewer positives follows noise; such a group keeps its scores.
MINIMUM_POSITIVES = 50


@dataclass(frozen=True)
class EqualOpportunityMap:
    """Score maps by group of one attribute: linear between knots, flat outside them.

    `dial` 1 serves the mapped score, 0 the old one, between them the mixture. Groups that
    are not in `knots` (unknown, or too few positives when fitted) keep their scores.
    """

    attribute: str
    dial: float
    knots: Mapping[str, FloatArray]
    values: Mapping[str, FloatArray]

    def apply(self, scores: FloatArray, groups: Sequence[str | None]) -> FloatArray:
        """New scores, one a row; `groups` holds each row's value of the attribute."""
        mapped = scores.astype(np.float64)
        names = np.array([name or "" for name in groups])
        for group, knots in self.knots.items():
            rows = names == group
            mapped[rows] = np.interp(scores[rows], knots, self.values[group])
        return np.asarray(self.dial * mapped + (1.0 - self.dial) * scores, dtype=np.float64)

    def shift(self, scores: FloatArray, groups: Sequence[str | None]) -> FloatArray:
        """What `apply` adds to each score: what another score of the same row may be mended by."""
        return self.apply(scores, groups) - scores

    def with_dial(self, dial: float) -> "EqualOpportunityMap":
        """The same maps at another mixture, 0 to 1."""
        if not 0.0 <= dial <= 1.0:
            raise CookbookError(f"the dial must lie between 0 (old) and 1 (fair), got {dial:g}")
        return replace(self, dial=dial)


def fit_equal_opportunity(
    scores: FloatArray,
    positive: npt.NDArray[np.bool_],
    groups: Sequence[str | None],
    *,
    attribute: str,
    weights: FloatArray | None = None,
    n_quantiles: int = 1000,
    dial: float = 1.0,
    original_scale: bool = True,
    minimum_positives: int = MINIMUM_POSITIVES,
) -> EqualOpportunityMap:
    """Learn the maps from one data set, to be applied to another; one entry a row.

    `weights` (read for positives only) undo position bias: 1 / propensity of where the row
    was shown. With `original_scale` the pooled scores keep their distribution; without it a
    mapped score is the group's CDF, 0 to 1.

    Raises: CookbookError when fewer than two groups have `minimum_positives` positives.
    Source: Nandy et al. 2021, arXiv 2006.11350; LiFT EOppUtils. LiFT re-samples positives
    in proportion to the weights; weighted quantiles are what that tends to.
    """
    names = np.array([name or "" for name in groups])
    weight = np.ones(len(scores)) if weights is None else weights
    probabilities = np.linspace(0.0, 1.0, n_quantiles + 1)
    knots: dict[str, FloatArray] = {}
    values: dict[str, FloatArray] = {}
    for group in sorted(set(names.tolist()) - {""}):
        rows = positive & (names == group)
        if rows.sum() >= minimum_positives:
            quantiles = _weighted_quantiles(scores[rows], weight[rows], probabilities)
            knots[group], values[group] = _function(quantiles, probabilities)
    if len(knots) < 2:
        raise CookbookError(
            f"equality of opportunity for {attribute!r} needs two groups with at least "
            f"{minimum_positives} positives, got {sorted(knots) or 'none'}: use more data"
        )
    fitted = EqualOpportunityMap(attribute, 1.0, knots, values)
    if original_scale:
        fitted = _on_original_scale(fitted, scores, names, probabilities)
    return fitted.with_dial(dial)


def positive_distance(
    scores: FloatArray,
    positive: npt.NDArray[np.bool_],
    groups: Sequence[str | None],
    *,
    weights: FloatArray | None = None,
    n_quantiles: int = 1000,
) -> dict[tuple[str, str], float]:
    """How far two groups' positives score apart: squared Wasserstein-2, in squared score.

    0 is equality of opportunity. Scores shifted by c give c^2.
    """
    names = np.array([name or "" for name in groups])
    weight = np.ones(len(scores)) if weights is None else weights
    middles = (np.arange(n_quantiles) + 0.5) / n_quantiles
    quantiles = {
        group: _weighted_quantiles(scores[rows], weight[rows], middles)
        for group in sorted(set(names.tolist()) - {""})
        if (rows := positive & (names == group)).any()
    }
    return {
        (a, b): float(((quantiles[a] - quantiles[b]) ** 2).mean())
        for a, b in combinations(quantiles, 2)
    }


def save_map(fitted: EqualOpportunityMap, path: Path) -> None:
    """Write the map as JSON, numbers in full precision."""
    record = {
        "attribute": fitted.attribute,
        "dial": fitted.dial,
        "knots": {group: knots.tolist() for group, knots in fitted.knots.items()},
        "values": {group: values.tolist() for group, values in fitted.values.items()},
    }
    path.write_text(json.dumps(record, sort_keys=True), encoding="utf-8")


def load_map(path: Path) -> EqualOpportunityMap:
    """Read what `save_map` wrote."""
    record = json.loads(path.read_text(encoding="utf-8"))
    knots, values = (
        {group: np.array(numbers, dtype=np.float64) for group, numbers in record[side].items()}
        for side in ("knots", "values")
    )
    return EqualOpportunityMap(record["attribute"], record["dial"], knots, values)


def _on_original_scale(
    fitted: EqualOpportunityMap,
    scores: FloatArray,
    names: npt.NDArray[np.str_],
    probabilities: FloatArray,
) -> EqualOpportunityMap:
    known = np.isin(names, list(fitted.knots))
    before = np.quantile(scores[known], probabilities)
    after = np.quantile(fitted.apply(scores[known], names[known].tolist()), probabilities)
    sources, targets = _function(after, before)
    values = {g: np.interp(v, sources, targets) for g, v in fitted.values.items()}
    return replace(fitted, values=values)


def _function(sources: FloatArray, targets: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Increasing knots and their values; sources that coincide share their mean target."""
    knots, place = np.unique(sources, return_inverse=True)
    return knots, np.bincount(place, weights=targets) / np.bincount(place)


def _weighted_quantiles(
    values: FloatArray, weights: FloatArray, probabilities: FloatArray
) -> FloatArray:
    order = np.argsort(values)
    held = weights[order]
    # Each value stands in the middle of its own weight.
    places = (np.cumsum(held) - held / 2) / held.sum()
    return np.interp(probabilities, places, values[order])
