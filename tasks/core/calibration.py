"""Calibration: probabilities that match frequencies, and the error where they do not.

The probability of an action is that of a candidate that is looked at, as the first of a list is.
Fitted on data that trained nothing. Temperature keeps the most probable grade of each pair;
isotonic steps may tie neighbors and are used for actions only.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq, minimize_scalar
from scipy.special import expit, log_softmax, logsumexp
from sklearn.isotonic import IsotonicRegression

Floats = npt.NDArray[np.float64]
_SPREADS = np.geomspace(0.5, 8.0, 81)


def fit_temperature(grade_logits: Floats, grades: Floats) -> float:
    """The temperature with the least log loss; logits (pairs, G), grades a distribution (pairs, G).

    Source: Guo et al., arXiv 1706.04599, section 4.2.
    """

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(grade_logits / np.exp(log_temperature), axis=1)
        return float(-(grades * scaled).sum(axis=1).mean())

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))


def fit_grade_cuts(expected: Floats, judged: Floats) -> list[float]:
    """Where to cut expected grades (pairs,) into single ones: the G - 1 cuts, rising.

    ``judged`` are distributions over grades on the same pairs, (pairs, G), of people or judge. A
    model that is unsure keeps near the mean: its order may be right while hardly any expected grade
    reaches the ends of the scale. So expected grades are spread about their mean before they are
    rounded, by the factor with the greatest expected quadratic kappa with these.
    """
    middle, asked = expected.mean(), (judged @ np.arange(judged.shape[1])).mean()
    edges = np.arange(1, judged.shape[1]) - 0.5
    tried = [(edges - asked) / spread + middle for spread in _SPREADS]
    kappas = [_expected_kappa(np.searchsorted(cuts, expected, "right"), judged) for cuts in tried]
    return [float(cut) for cut in tried[int(np.argmax(kappas))]]


def _expected_kappa(graded: npt.NDArray[np.int64], judged: Floats) -> float:
    """Quadratic kappa, its mean squares taken over grades drawn from ``judged``."""
    grades = np.arange(judged.shape[1])
    mean, square = judged @ grades, judged @ grades**2
    apart = np.mean(graded**2 - 2 * graded * mean + square)
    spread = graded.var() + square.mean() - mean.mean() ** 2
    return float(1 - apart / max(spread + (graded.mean() - mean.mean()) ** 2, 1e-12))


@dataclass(frozen=True)
class ActionCalibration:
    """logit -> probability by knots of an increasing function, linear between them."""

    knots: tuple[float, ...]
    values: tuple[float, ...]

    def __call__(self, logits: npt.NDArray[Any]) -> Floats:
        return np.interp(logits.astype(np.float64), self.knots, self.values)

    def to_json(self) -> dict[str, list[float]]:
        return {"knots": list(self.knots), "values": list(self.values)}

    @classmethod
    def from_json(cls, value: dict[str, list[float]]) -> "ActionCalibration":
        return cls(tuple(value["knots"]), tuple(value["values"]))


def fit_action(logits: Floats, taken: Floats, weights: Floats) -> ActionCalibration:
    """Isotonic regression of what was taken, counted 1/propensity times; all of shape (rows,).

    A click needs a look: an attraction a at propensity p is clicked with probability p a, so that
    click / p has the mean a. Rows count alike: 1/p on all rows of a place, clicked or not, would
    leave their rate at p a. Counts go beyond 1, and of few rows their mean may: it is cut below 1.

    With no positive rows (or only positive ones) no shape can be fitted: the model's own order
    stays, moved to where its mean is half a positive (or half a negative) more than was seen. An
    action learned among rows with a positive one alone would else be served at the rate of those.
    Source: Saito et al., arXiv 1909.03601.
    """
    if not 0 < taken.sum() < len(taken):
        return _shifted(logits, (taken.sum() + 0.5) / (len(taken) + 1))
    fitted = IsotonicRegression(y_min=1e-6, y_max=1 - 1e-6, out_of_bounds="clip")
    fitted.fit(logits, weights * taken)
    knots, values = fitted.X_thresholds_, fitted.y_thresholds_
    return ActionCalibration(tuple(map(float, knots)), tuple(map(float, values)))


def _shifted(logits: Floats, rate: float) -> ActionCalibration:
    """The model's own probabilities, shifted on the scale of logits to this mean."""
    grid = np.linspace(-12.0, 12.0, 97)
    shift = 0.0
    if len(logits):
        shift = brentq(lambda by: float(expit(logits + by).mean()) - rate, -60.0, 60.0)
    values = np.clip(expit(grid + shift), 1e-6, 1 - 1e-6)
    return ActionCalibration(tuple(map(float, grid)), tuple(map(float, values)))


@dataclass(frozen=True)
class Reliability:
    """Equal-mass bins: mean probability, observed rate, rows; and the expected error."""

    bins: tuple[tuple[float, float, int], ...]
    expected_error: float

    def points(self) -> list[list[float]]:
        return [list(point) for point in self.bins]


def reliability(probabilities: Floats, happened: Floats, *, n_bins: int = 15) -> Reliability:
    """Expected calibration error over equal-mass bins: sum of |mean p - rate| by bin share.

    Equal mass, because equal widths leave most bins of a rare action empty. ``happened`` is 0 or
    1, or a click counted 1/propensity times: a rate is its mean, of few rows sometimes above 1.
    """
    numbers = _bin_numbers(probabilities, n_bins)
    bins, error = [], 0.0
    for number in np.unique(numbers):
        rows = np.flatnonzero(numbers == number)
        mean, rate = float(probabilities[rows].mean()), float(happened[rows].mean())
        bins.append((mean, rate, len(rows)))
        error += len(rows) / len(probabilities) * abs(mean - rate)
    return Reliability(tuple(bins), error)


def _bin_numbers(probabilities: Floats, n_bins: int) -> npt.NDArray[np.int64]:
    """The bin of each row, by its middle rank; equal probabilities always share a bin.

    Isotonic steps tie many rows. Cut apart in the order of the file, they would show an error
    that comes of that order alone.
    """
    _, codes, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    return np.floor(middle[codes] * n_bins / len(probabilities)).astype(np.int64)


def exceedance(grade_logits: Floats, grade: int, temperature: float) -> Floats:
    """P(grade >= ``grade``) of each pair, shape (pairs,)."""
    scaled = log_softmax(grade_logits / temperature, axis=1)
    tail: Floats = np.exp(logsumexp(scaled[:, grade:], axis=1))
    return tail
