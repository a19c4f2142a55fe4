"""How much more the top of a list is looked at: examination propensities from impressions.

A click needs a look and an attraction. Position k is looked at with propensity p_k, relative
to position 1; weighing clicks by 1 / p_k makes them speak of the pair and not of its place.

Rankers put attractive pairs on top, so click rates by position mix both causes. They are told
apart within *strata* whose attraction does not depend on the position: all impressions shown
in random order are one stratum; a pair of query and document shown at several positions is
one each (intervention harvesting: Agarwal et al., WSDM 2019; Joachims et al., WSDM 2017); or
rows of about the same relevance score, which is the model of regression EM (Wang et al., WSDM
2018). In every case clicks at position k of stratum s are expected n_sk p_k a_s, and given a
stratum's clicks their places do not depend on its attraction a_s: one likelihood serves all.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array, diags_array

from tasks.core.errors import CookbookError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Method = Literal[
    "random_order",
    "intervention_harvesting",
    "random_order_and_harvesting",
    "relevance_strata",
    "not_estimated",
]

# Fewer clicks tell nothing of how often a place is looked at, or how well clicks are foreseen.
MINIMUM_CLICKS = 20
_Z95 = 1.959964
_N_RELEVANCE_BINS = 20
# The stratum of random-order impressions, before pairs are numbered from 0.
_RANDOM = -1


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
    minimum_clicks: int = MINIMUM_CLICKS,
    max_position: int = 50,
) -> Propensities:
    """Examination propensities relative to position 1; all arguments have shape (rows,).

    `pairs` identifies the query and document of a row, `relevance` is any score of it made
    without the clicks. Random-order impressions are a stratum of their own where they hold
    `minimum_clicks` clicks at position 1; pairs that moved join them, or stand alone where
    they hold as many. Failing both, strata are 20 equal-mass bins of `relevance`: less to be
    trusted, since attraction that the score misses counts as position. Positions from
    `max_position` on count as one. Values are not forced to fall with the position. Each
    position gets half a click in one more impression, so that none is zero.

    Raises: CookbookError for a position below 1 or a click that is not 0 or 1.
    Source: module docstring. 40 and 20 clicks of 199 random impressions each at positions 1
    and 2 give 1 and 20.5 / 40.5.
    """
    _check(position, clicked)
    place = np.minimum(position, max_position).astype(np.int64) - 1
    clicks = clicked.astype(np.float64)
    random = shown_at_random.astype(bool)
    use_random = bool(clicks[random & (place == 0)].sum() >= minimum_clicks)
    if not use_random:
        random = np.zeros(len(place), dtype=bool)
    for method, strata in _choices(pairs, relevance, random, use_random=use_random):
        used = strata >= _RANDOM
        table = _table(place[used], clicks[used], strata[used])
        if table is not None and table.clicks_by_place.sum() >= minimum_clicks:
            return _fitted(table, method)
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


def _choices(
    pairs: npt.NDArray[np.generic] | None,
    relevance: FloatArray | None,
    random: npt.NDArray[np.bool_],
    *,
    use_random: bool,
) -> list[tuple[Method, IntArray]]:
    """Ways to form strata, best first; a stratum below _RANDOM leaves the row out."""
    left_out = _RANDOM - 1
    choices: list[tuple[Method, IntArray]] = []
    if pairs is not None:
        number = np.unique(pairs, return_inverse=True)[1].astype(np.int64)
        name: Method = "random_order_and_harvesting" if use_random else "intervention_harvesting"
        choices.append((name, np.where(random, _RANDOM, number)))
    if use_random:
        choices.append(("random_order", np.where(random, _RANDOM, left_out)))
    elif relevance is not None:
        inner = np.linspace(0.0, 1.0, _N_RELEVANCE_BINS + 1)[1:-1]
        edges = np.unique(np.quantile(relevance, inner))
        choices.append(("relevance_strata", np.searchsorted(edges, relevance, side="right")))
    return choices


@dataclass(frozen=True)
class _Table:
    """Impressions by stratum and place, of strata that tell places apart, and their clicks."""

    shown: csr_array
    clicks: FloatArray
    clicks_by_place: FloatArray


def _table(place: IntArray, clicks: FloatArray, strata: IntArray) -> _Table | None:
    """None unless some stratum with a click ties place 1 to place 0; later places are cut."""
    n_places = int(place.max()) + 1
    _, stratum = np.unique(strata, return_inverse=True)
    shape = (int(stratum.max()) + 1, n_places)
    shown = csr_array(coo_array((np.ones(len(place)), (stratum, place)), shape=shape))
    telling = (np.diff(shown.indptr) > 1) & (np.bincount(stratum, weights=clicks) > 0)
    seen = (shown[np.flatnonzero(telling)] > 0).astype(np.float64)
    n = _tied_to_first((seen.T @ seen).toarray() > 0)
    if n < 2:
        return None
    rows = telling[stratum] & (place < n)
    # Half a click in one impression of each place, in a stratum of their own unless there is
    # a random one, which they join: it is the first.
    joins = np.zeros(n, dtype=np.int64) if strata.min() == _RANDOM else np.full(n, shape[0])
    at, where = np.append(place[rows], np.arange(n)), np.append(stratum[rows], joins)
    hits = np.append(clicks[rows], np.full(n, 0.5))
    return _Table(
        shown=csr_array(coo_array((np.ones(len(at)), (where, at)), shape=(shape[0] + 1, n))),
        clicks=np.bincount(where, weights=hits, minlength=shape[0] + 1).astype(np.float64),
        clicks_by_place=np.bincount(at, weights=hits).astype(np.float64),
    )


def _tied_to_first(linked: npt.NDArray[np.bool_]) -> int:
    """How many places from the first on are tied to it by chains of shared strata."""
    reached = np.arange(len(linked)) == 0
    for _ in range(len(linked)):
        reached |= linked[reached].any(0)
    return int(np.argmin(np.append(reached, False)))


def _fitted(table: _Table, method: Method, *, n_iterations: int = 50) -> Propensities:
    """Maximum of the conditional likelihood by Newton steps on the log propensities.

    sum over strata and places of c_sk log(n_sk p_k / sum_j n_sj p_j): concave in log p. The
    variance is the inverse information, a Poisson's, so intervals err on the wide side.
    """
    logs = np.zeros(len(table.clicks_by_place))
    for _ in range(n_iterations):
        gradient, information = _derivatives(table, logs)
        step = np.linalg.solve(information, gradient)
        logs[1:] += np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-9:
            break
    _, information = _derivatives(table, logs)
    spread = _Z95 * np.sqrt(np.append(0.0, np.diag(np.linalg.inv(information))))
    return Propensities(
        np.arange(1, len(logs) + 1),
        np.exp(logs),
        np.exp(logs - spread),
        np.exp(logs + spread),
        method,
    )


def _derivatives(table: _Table, logs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Gradient and information in the log propensities of all places but the first."""
    mass = table.shown @ diags_array(np.exp(logs))
    total = np.maximum(mass.sum(1), np.finfo(np.float64).tiny)
    share = diags_array(1.0 / total) @ mass
    expected = share.T @ table.clicks
    information = np.diag(expected) - (share.T @ diags_array(table.clicks) @ share).toarray()
    return (table.clicks_by_place - expected)[1:], information[1:, 1:]


def _check(position: IntArray, clicked: npt.NDArray[np.number]) -> None:
    if not len(position):
        raise CookbookError("propensities need impressions, got none: leave the click stages out")
    if position.min() < 1:
        raise CookbookError(
            f"positions must count from 1, got {int(position.min())}: add 1 if yours count from 0"
        )
    if not np.isin(clicked, (0, 1)).all():
        raise CookbookError("clicked must be 0 or 1 in every impression: mend the column")
