"""How much more the top of a list is looked at: examination propensities from impressions.

A click needs a look and an attraction. Position k is looked at with propensity p_k, relative
to position 1; weighing clicks by 1 / p_k makes them speak of the pair and not of its place.

Three ways, the first that the log allows: click rates of impressions shown in random order;
pairs of query and document that were shown at several positions (intervention harvesting,
Agarwal et al., WSDM 2019; Joachims et al., WSDM 2017); and, given a relevance score for each
row, expectation-maximization over examination and attraction (Wang et al., WSDM 2018).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array

from tasks.core.errors import CookbookError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Method = Literal["random_order", "intervention_harvesting", "regression_em", "not_estimated"]

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
    without the clicks. Random-order impressions are used alone where they hold at least
    `minimum_clicks` clicks at position 1; else pairs shown at several positions, where those
    hold as many; else EM over 20 equal-mass bins of `relevance`. Positions from
    `max_position` on count as one. Values are not forced to fall with the position.

    Raises: CookbookError for a position below 1 or a click that is not 0 or 1.
    Source: module docstring. With click rates .2 and .1 at random positions 1 and 2: 1, .5.
    """
    _check(position, clicked)
    place = np.minimum(position, max_position).astype(np.int64) - 1
    clicks = clicked.astype(np.float64)
    random = shown_at_random.astype(bool)
    if clicks[random & (place == 0)].sum() >= minimum_clicks:
        return _from_random_order(place[random], clicks[random])
    if pairs is not None:
        harvested = _harvest(place, clicks, pairs, minimum_clicks, seed)
        if harvested is not None:
            return harvested
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


def _harvest(
    place: IntArray,
    clicks: FloatArray,
    pairs: npt.NDArray[np.generic],
    minimum_clicks: int,
    seed: int,
) -> Propensities | None:
    swaps = _interventions(place, clicks, pairs)
    if swaps is None or swaps.clicks < minimum_clicks:
        return None
    ones = np.ones((1, swaps.n_pairs))
    values = _solve_log_ratios(*swaps.resampled(ones))[0]
    rng = np.random.default_rng(seed)
    resampled = np.concatenate(
        [
            _solve_log_ratios(*swaps.resampled(rng.poisson(1.0, (10, swaps.n_pairs)).astype(float)))
            for _ in range(_N_RESAMPLES // 10)
        ]
    )
    # Positions that no chain of swaps ties to position 1 come out as NaN: cut there.
    n = int(np.argmin(np.append(np.isfinite(values), False)))
    if n < 2:
        return None
    return _with_percentiles(values[:n], resampled[:, :n], "intervention_harvesting")


@dataclass(frozen=True)
class _Interventions:
    """Sums over the pairs seen at both places of an (upper, lower) couple of places."""

    n_places: int
    n_pairs: int
    clicks: float
    upper: coo_array
    lower: coo_array
    mass: coo_array

    def resampled(self, weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Weighted click rates above and below, and their mass, (draws, places, places)."""
        shape = (len(weights), self.n_places, self.n_places)
        above, below, mass = (
            (weights @ sums.tocsr()).reshape(shape) for sums in (self.upper, self.lower, self.mass)
        )
        return above, below, mass


def _interventions(
    place: IntArray, clicks: FloatArray, pairs: npt.NDArray[np.generic]
) -> _Interventions | None:
    """Couples of places at which the same pair was shown, with its click rate at each."""
    n_places = int(place.max()) + 1
    _, pair = np.unique(pairs, return_inverse=True)
    cell, inverse = np.unique(pair * n_places + place, return_inverse=True)
    shown = np.bincount(inverse).astype(np.float64)
    rate = np.bincount(inverse, weights=clicks) / shown
    cell_pair, cell_place = np.divmod(cell, n_places)
    found = []
    for lag in range(1, min(n_places, len(cell))):
        first = np.flatnonzero(cell_pair[:-lag] == cell_pair[lag:])
        if not len(first):
            break
        found.append(np.stack([first, first + lag]))
    if not found:
        return None
    above, below = np.concatenate(found, axis=1)
    # Harmonic weights: a couple of means is as noisy as its rarer side.
    weight = shown[above] * shown[below] / (shown[above] + shown[below])
    couple = cell_place[above] * n_places + cell_place[below]
    # Only pairs that moved are resampled: most of a log never does.
    _, moved = np.unique(cell_pair[above], return_inverse=True)
    shape = (int(moved.max()) + 1, n_places * n_places)
    upper, lower, mass = (
        coo_array((weight * value, (moved, couple)), shape=shape)
        for value in (rate[above], rate[below], np.ones(len(weight)))
    )
    total = float((shown * rate)[np.union1d(above, below)].sum())
    return _Interventions(n_places, shape[0], total, upper, lower, mass)


def _solve_log_ratios(above: FloatArray, below: FloatArray, mass: FloatArray) -> FloatArray:
    """Propensities whose log ratios fit every couple of places best; (draws, places).

    Weighted least squares on log p_k - log p_j = log(above / below), each couple weighing
    the inverse variance of its log ratio. Places not tied to place 0 are NaN.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(above) - np.log(below)
        # var(log rate) of a rate r over mass m is about (1 - r) / (m r).
        variance = (1 - above / mass) / above + (1 - below / mass) / below
        usable = np.isfinite(ratio) & np.isfinite(variance) & (variance > 0)
        weight = np.where(usable, 1.0 / variance, 0.0)
    weight = weight + weight.transpose(0, 2, 1)
    ratio = np.where(usable, ratio, 0.0)
    ratio = ratio - ratio.transpose(0, 2, 1)
    laplacian = weight.sum(2)[:, :, None] * np.eye(weight.shape[1]) - weight
    target = (weight * ratio).sum(2)
    # Minimum-norm solution: exact differences within a connected set of places.
    logs = np.einsum("bij,bj->bi", np.linalg.pinv(laplacian, hermitian=True), target)
    reached = _reached_from_first(weight > 0)
    return np.where(reached, np.exp(logs - logs[:, :1]), np.nan)


def _reached_from_first(linked: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    reached = np.zeros(linked.shape[:2], dtype=bool)
    reached[:, 0] = True
    for _ in range(linked.shape[1]):
        reached |= (linked & reached[:, None, :]).any(2)
    return reached


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
