"""Examination propensities from pairs of query and document seen at several positions.

Whatever attracts in a pair stays when it moves: the ratio of its click rates at two positions
is the ratio of their examinations. Rankers that change, and noise in ranking, move pairs for
free. Assumes that a pair attracts the same wherever and whenever it is shown.

Source: Agarwal et al., "Estimating position bias without intrusive interventions", WSDM 2019.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Resamples drawn at a time: a weight for each of perhaps a million pairs.
_BLOCK = 10


def harvested(
    place: IntArray,
    clicks: FloatArray,
    pairs: npt.NDArray[np.generic],
    *,
    minimum_clicks: int,
    n_resamples: int,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray] | None:
    """Propensities of places 0, 1 .. relative to place 0, and their resamples by pair.

    None when the pairs that moved hold fewer than `minimum_clicks` clicks, or none ties place
    1 to place 0. Shapes (places,) and (n_resamples, places); places that no chain of moves
    ties to place 0 are cut off.
    """
    swaps = _interventions(place, clicks, pairs)
    if swaps is None or swaps.clicks < minimum_clicks:
        return None
    values = _solve_log_ratios(*swaps.resampled(np.ones((1, swaps.n_pairs))))[0]
    n = int(np.argmin(np.append(np.isfinite(values), False)))
    if n < 2:
        return None
    blocks = [
        _solve_log_ratios(
            *swaps.resampled(rng.poisson(1.0, (_BLOCK, swaps.n_pairs)).astype(np.float64))
        )
        for _ in range(n_resamples // _BLOCK)
    ]
    return values[:n], np.concatenate(blocks)[:, :n]


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
