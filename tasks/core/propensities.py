"""How much more the top of a list is looked at: examination propensities from impressions.

A click needs a look and an attraction. Position k is looked at with propensity p_k, relative
to position 1; weighing clicks by 1 / p_k makes them speak of the pair and not of its place.

Two ways, combined where the log allows both: click rates of impressions shown in random order
(Joachims et al., WSDM 2017), and pairs of query and document that were shown at several
positions (intervention_harvesting.py). Where it allows neither, and each row has a relevance
score: expectation-maximization over examination and attraction (Wang et al., WSDM 2018).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tasks.core.errors import CookbookError
from tasks.core.intervention_harvesting import harvested

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Method = Literal[
    "random_order",
    "intervention_harvesting",
    "random_order_and_harvesting",
    "regression_em",
    "not_estimated",
]

_Z95 = 1.959964
_N_RESAMPLES = 200
# Half a click and half a non-click: the rate of a position without clicks stays above zero.
_HALF = 0.5


@dataclass(frozen=True)
class Propensities:
    """Propensity of each position 1 .. P relative to position 1, with a 95% interval.

    `method` "not_estimated" means that the log allowed no estimate: all values are 1, the
    bounds are NaN, and whoever reports must say that clicks are not corrected.
    """

    positions: IntArray
    values: FloatArray
    low: FloatArray
    high: FloatArray
    method: Method

    def at(self, positions: IntArray) -> FloatArray:
        """Propensity at each given position; beyond the last estimated one, that one's."""
        place = np.minimum(positions, len(self.values)) - 1
        return np.asarray(self.values[place], dtype=np.float64)

    def to_json(self) -> dict[str, object]:
        """Plain lists for a manifest or a report; NaN bounds become null."""
        return {
            "method": self.method,
            "positions": self.positions.tolist(),
            "values": self.values.tolist(),
            "low": [None if np.isnan(x) else x for x in self.low.tolist()],
            "high": [None if np.isnan(x) else x for x in self.high.tolist()],
        }


def estimate_propensities(
    position: IntArray,
    clicked: npt.NDArray[np.number],
    shown_at_random: npt.NDArray[np.number],
    *,
    pairs: npt.NDArray[np.generic] | None = None,
    relevance: FloatArray | None = None,
    minimum_clicks: int = 20,
    max_position: int = 50,
    seed: int = 0,
) -> Propensities:
    """Examination propensities relative to position 1; all arguments have shape (rows,).

    `pairs` identifies the query and document of a row, `relevance` is any score of it made
    without the clicks. Random-order impressions count where they hold at least
    `minimum_clicks` clicks at position 1, pairs that moved where they hold as many; two
    estimates are averaged by their precision, since a few random impressions are unbiased but
    say little. Failing both, EM over 20 equal-mass bins of `relevance`. Positions from
    `max_position` on count as one. Values are not forced to fall with the position.

    Raises: CookbookError for a position below 1 or a click that is not 0 or 1.
    Source: module docstring. With click rates .2 and .1 at random positions 1 and 2: 1, .5.
    """
    _check(position, clicked)
    place = np.minimum(position, max_position).astype(np.int64) - 1
    clicks = clicked.astype(np.float64)
    random = shown_at_random.astype(bool)
    shuffled = moved = None
    if clicks[random & (place == 0)].sum() >= minimum_clicks:
        shuffled = _from_random_order(place[random], clicks[random])
    if pairs is not None and not random.all():
        ranked = ~random
        moved = _harvest(place[ranked], clicks[ranked], pairs[ranked], minimum_clicks, seed)
    if shuffled is not None and moved is not None:
        return _combined(shuffled, moved)
    for estimate in (shuffled, moved):
        if estimate is not None:
            return estimate
    if relevance is not None and clicks[place == 0].sum() >= minimum_clicks:
        return _regression_em(place, clicks, relevance, seed)
    n = int(place.max()) + 1
    unknown = np.full(n, np.nan)
    return Propensities(np.arange(1, n + 1), np.ones(n), unknown, unknown, "not_estimated")


def inverse_propensity_weights(
    positions: IntArray, propensities: Propensities, *, clip: float = 10.0
) -> FloatArray:
    """Weight 1 / propensity of each row, at most `clip`.

    A click far down is rare and speaks for many that were never looked at; the clip bounds
    what one of them may say, at the price of some bias.
    """
    return np.minimum(1.0 / propensities.at(positions), clip)


def _from_random_order(place: IntArray, clicks: FloatArray) -> Propensities:
    shown = np.bincount(place)
    # A random list has no holes; where one begins the rest is too thin to tell.
    n = int(np.argmin(np.append(shown, 0) > 0))
    hits = np.bincount(place, weights=clicks)[:n]
    rate = (hits + _HALF) / (shown[:n] + 2 * _HALF)
    log_variance = (1.0 - rate) / (shown[:n] * rate)
    spread = _Z95 * np.sqrt(log_variance + log_variance[0])
    spread[0] = 0.0
    values = rate / rate[0]
    return Propensities(
        np.arange(1, n + 1),
        values,
        values * np.exp(-spread),
        values * np.exp(spread),
        "random_order",
    )


def _combined(shuffled: Propensities, moved: Propensities) -> Propensities:
    """Average of log propensities by inverse variance; the two come from different rows."""
    n = max(len(shuffled.values), len(moved.values))
    weighted, precision = np.zeros(n), np.zeros(n)
    for estimate in (shuffled, moved):
        sd = np.log(estimate.high[1:] / estimate.low[1:]) / (2 * _Z95)
        held = slice(1, len(estimate.values))
        precision[held] += sd**-2
        weighted[held] += np.log(estimate.values[1:]) * sd**-2
    values, spread = np.ones(n), np.zeros(n)
    values[1:] = np.exp(weighted[1:] / precision[1:])
    spread[1:] = _Z95 / np.sqrt(precision[1:])
    return Propensities(
        np.arange(1, n + 1),
        values,
        values * np.exp(-spread),
        values * np.exp(spread),
        "random_order_and_harvesting",
    )


def _harvest(
    place: IntArray,
    clicks: FloatArray,
    pairs: npt.NDArray[np.generic],
    minimum_clicks: int,
    seed: int,
) -> Propensities | None:
    rng = np.random.default_rng(seed)
    found = harvested(
        place, clicks, pairs, minimum_clicks=minimum_clicks, n_resamples=_N_RESAMPLES, rng=rng
    )
    return None if found is None else _with_percentiles(*found, "intervention_harvesting")


def _regression_em(
    place: IntArray, clicks: FloatArray, relevance: FloatArray, seed: int, *, n_bins: int = 20
) -> Propensities:
    edges = np.unique(np.quantile(relevance, np.linspace(0, 1, n_bins + 1)[1:-1]))
    level = np.searchsorted(edges, relevance, side="right")
    n_places, n_levels = int(place.max()) + 1, len(edges) + 1
    cell = place * n_levels + level
    shape = (n_places, n_levels)
    shown, hits = _table(cell, np.ones_like(clicks), shape), _table(cell, clicks, shape)
    rng = np.random.default_rng(seed)
    rate = hits / np.maximum(shown, 1)
    redrawn = rng.binomial(shown.astype(np.int64), rate, size=(_N_RESAMPLES, *shape))
    values = _fit_em(shown, hits[None])
    resampled = _fit_em(shown, redrawn.astype(np.float64))
    return _with_percentiles(values[0], resampled, "regression_em")


def _table(cell: IntArray, weights: FloatArray, shape: tuple[int, int]) -> FloatArray:
    sums = np.bincount(cell, weights=weights, minlength=shape[0] * shape[1])
    return np.asarray(sums, np.float64).reshape(shape)


def _fit_em(
    shown: FloatArray, hits: FloatArray, *, n_iterations: int = 300, tolerance: float = 1e-6
) -> FloatArray:
    """Examination by place from click counts, (draws, places, levels), attraction by level."""
    seen = np.maximum(shown.sum(1), 1.0)
    examined = (hits.sum(2) + _HALF) / seen
    examined /= examined.max(1, keepdims=True)
    level_rows = np.maximum(shown.sum(0), 1.0)
    # The limit of small rates, alternated, starts EM close to where it would crawl to.
    for _ in range(50):
        attracted = (hits.sum(1) + 1e-9) / np.maximum(examined @ shown, 1e-9)
        examined = (hits.sum(2) + _HALF) / np.maximum(attracted @ shown.T, 1e-9)
        examined /= examined.max(1, keepdims=True)
    for _ in range(n_iterations):
        e, a = examined[:, :, None], np.clip(attracted, 1e-9, 1 - 1e-9)[:, None, :]
        missed = (shown - hits) / np.maximum(1.0 - e * a, 1e-12)
        examined_next = (hits + missed * e * (1.0 - a)).sum(2) / seen
        attracted = (hits + missed * a * (1.0 - e)).sum(1) / level_rows
        # Only the product is identified: keep the largest examination at 1.
        top = examined_next.max(1, keepdims=True)
        examined_next, attracted = examined_next / top, attracted * top
        moved = np.abs(examined_next - examined).max()
        examined = examined_next
        if moved < tolerance:
            break
    return np.asarray(examined / examined[:, :1], dtype=np.float64)


def _with_percentiles(values: FloatArray, resampled: FloatArray, method: Method) -> Propensities:
    low, high = np.nanpercentile(resampled, [2.5, 97.5], axis=0)
    return Propensities(np.arange(1, len(values) + 1), values, low, high, method)


def _check(position: IntArray, clicked: npt.NDArray[np.number]) -> None:
    if not len(position):
        raise CookbookError("propensities need impressions, got none: leave the click stages out")
    if position.min() < 1:
        raise CookbookError(
            f"positions must count from 1, got {int(position.min())}: add 1 if yours count from 0"
        )
    if not np.isin(clicked, (0, 1)).all():
        raise CookbookError("clicked must be 0 or 1 in every impression: mend the column")
