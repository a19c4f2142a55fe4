"""Distances between distributions over (label, group) categories, by LiFT's definitions.

A distribution is a mapping from a category (any hashable, often a (group, label) pair) to a
count. Counts may be fractional: expected counts of a probabilistic prediction are fine.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tasks.core.errors import CookbookError

Category = TypeVar("Category", bound=Hashable)
FloatArray = npt.NDArray[np.float64]

# Rounding of a total that should be 1.
_PROBABILITY_TOLERANCE = 1e-3


def skews(
    observed: Mapping[Category, float], reference: Mapping[Category, float], *, alpha: float = 1.0
) -> dict[Category, float]:
    """ln of each category's smoothed share in `observed` over its share in `reference`.

    Both sides get `alpha` added to every one of the K categories that either side holds.
    Zero where the shares agree; positive where `observed` has more.

    Raises: CookbookError when the reference is given as probabilities (see `scaled_to`).
    Source: LiFT DivergenceUtils.computeAllSkews. Counts {a: 3, b: 1} against {a: 1, b: 3}
    give ln(4/2) = 0.6931 for a.
    """
    categories, p, q = _aligned(observed, reference)
    _refuse_probabilities(q, alpha)
    p_share = (p + alpha) / (p.sum() + alpha * len(p))
    q_share = (q + alpha) / (q.sum() + alpha * len(q))
    return dict(zip(categories, np.log(p_share / q_share).tolist(), strict=True))


def minimum_skew(
    observed: Mapping[Category, float], reference: Mapping[Category, float], *, alpha: float = 1.0
) -> tuple[Category, float]:
    """The category that `observed` holds least of, measured against `reference`."""
    every = skews(observed, reference, alpha=alpha)
    category = min(every, key=every.__getitem__)
    return category, every[category]


def maximum_skew(
    observed: Mapping[Category, float], reference: Mapping[Category, float], *, alpha: float = 1.0
) -> tuple[Category, float]:
    """The category that `observed` holds most of, measured against `reference`."""
    every = skews(observed, reference, alpha=alpha)
    category = max(every, key=every.__getitem__)
    return category, every[category]


def infinity_norm_distance(
    observed: Mapping[Category, float], reference: Mapping[Category, float]
) -> float:
    """Largest absolute difference of a category's share; 0 to 1."""
    _, p, q = _aligned(observed, reference)
    return float(np.abs(_shares(p) - _shares(q)).max())


def total_variation_distance(
    observed: Mapping[Category, float], reference: Mapping[Category, float]
) -> float:
    """Half the sum of absolute differences of shares; 0 to 1, 1 for disjoint supports."""
    _, p, q = _aligned(observed, reference)
    return float(0.5 * np.abs(_shares(p) - _shares(q)).sum())


def kl_divergence(
    observed: Mapping[Category, float], reference: Mapping[Category, float], *, alpha: float = 1.0
) -> float:
    """Bits lost when `reference`, smoothed by `alpha` counts a category, stands for `observed`.

    Categories that `observed` lacks contribute nothing. With `alpha` 0 the divergence is
    infinite where only `observed` has a category.

    Raises: CookbookError when the reference is given as probabilities (see `scaled_to`).
    Source: LiFT DivergenceUtils.computeKullbackLeiblerDivergence.
    """
    _, p, q = _aligned(observed, reference)
    _refuse_probabilities(q, alpha)
    return _kl_bits(_shares(p), (q + alpha) / (q.sum() + alpha * len(q)))


def js_divergence(observed: Mapping[Category, float], reference: Mapping[Category, float]) -> float:
    """Mean of the two unsmoothed divergences to the midpoint, in bits; 0 to 1, symmetric."""
    _, p, q = _aligned(observed, reference)
    p_share, q_share = _shares(p), _shares(q)
    middle = 0.5 * (p_share + q_share)
    return 0.5 * (_kl_bits(p_share, middle) + _kl_bits(q_share, middle))


@dataclass(frozen=True)
class GroupGaps:
    """A rate for each group, and the absolute gap of each unordered pair of groups."""

    rates: dict[str, float]
    gaps: dict[tuple[str, str], float]


def demographic_parity(counts: Mapping[tuple[str, int], float]) -> GroupGaps:
    """P(label 1 | group) and its absolute gaps, from counts keyed (group, label 0 or 1).

    Unrounded: a gap of 0.000004 stays one.

    Source: LiFT DivergenceUtils.computeDemographicParity. 345 of 468 against 567 of 656
    gives 0.73718, 0.86433 and a gap of 0.12715.
    """
    rates: dict[str, float] = {}
    for group in sorted({group for group, _ in counts}):
        positives = counts.get((group, 1), 0.0)
        total = positives + counts.get((group, 0), 0.0)
        if total <= 0:
            raise CookbookError(
                f"group {group!r} has no rows, so its rate is undefined: leave it out"
            )
        rates[group] = positives / total
    gaps = {(a, b): abs(rates[a] - rates[b]) for a, b in combinations(rates, 2)}
    return GroupGaps(rates, gaps)


def equalized_odds(counts: Mapping[tuple[str, int, int], float]) -> dict[int, GroupGaps]:
    """Per label: P(predicted 1 | label, group) and its gaps, from (group, label, predicted).

    Source: LiFT DivergenceUtils.computeEqualizedOdds; Hardt et al. 2016.
    """
    labels = sorted({label for _, label, _ in counts})
    return {
        label: demographic_parity(
            {(g, predicted): n for (g, y, predicted), n in counts.items() if y == label}
        )
        for label in labels
    }


def label_counts(
    labels: npt.NDArray[np.number], groups: npt.NDArray[np.str_]
) -> dict[tuple[str, float], float]:
    """Rows for each (group, label) present; labels keep their value."""
    names, group_code = np.unique(groups, return_inverse=True)
    values, label_code = np.unique(labels, return_inverse=True)
    table = np.bincount(group_code * len(values) + label_code, minlength=len(names) * len(values))
    return {
        (str(name), float(values[j])): float(table[i * len(values) + j])
        for i, name in enumerate(names)
        for j in range(len(values))
        if table[i * len(values) + j]
    }


def expected_counts(
    probabilities: FloatArray, groups: npt.NDArray[np.str_]
) -> dict[tuple[str, int], float]:
    """Expected positives (sum of p) and negatives (sum of 1 - p) of each group."""
    names, code = np.unique(groups, return_inverse=True)
    positive = np.bincount(code, weights=probabilities)
    negative = np.bincount(code, weights=1.0 - probabilities)
    ones = {(str(name), 1): float(positive[i]) for i, name in enumerate(names)}
    return ones | {(str(name), 0): float(negative[i]) for i, name in enumerate(names)}


def expected_confusion_counts(
    probabilities: FloatArray, labels: npt.NDArray[np.int64], groups: npt.NDArray[np.str_]
) -> dict[tuple[str, int, int], float]:
    """Expected counts keyed (group, label, predicted), for `equalized_odds`."""
    counts: dict[tuple[str, int, int], float] = {}
    for label in np.unique(labels).tolist():
        rows = labels == label
        for (group, predicted), n in expected_counts(probabilities[rows], groups[rows]).items():
            counts[(group, label, predicted)] = n
    return counts


def summed(parts: Iterable[Mapping[Category, float]]) -> dict[Category, float]:
    """Counts of shards or days as those of the whole: a log is counted as it streams in."""
    total: dict[Category, float] = {}
    for part in parts:
        for category, n in part.items():
            total[category] = total.get(category, 0.0) + n
    return total


def scaled_to(probabilities: Mapping[Category, float], total: float) -> dict[Category, float]:
    """A reference given as probabilities, as counts that sum to `total`.

    Smoothing adds whole counts, so it must meet counts: added to probabilities it would pull
    any reference to near uniform and hide the very skew that is looked for.
    """
    weight = sum(probabilities.values())
    return {category: total * value / weight for category, value in probabilities.items()}


def uniform_reference(observed: Mapping[Category, float]) -> dict[Category, float]:
    """Equal counts over the categories of `observed`, with the same total."""
    share = sum(observed.values()) / len(observed)
    return dict.fromkeys(observed, share)


def _aligned(
    observed: Mapping[Category, float], reference: Mapping[Category, float]
) -> tuple[list[Category], FloatArray, FloatArray]:
    categories = [*observed, *(c for c in reference if c not in observed)]
    p = np.array([observed.get(c, 0.0) for c in categories], dtype=np.float64)
    q = np.array([reference.get(c, 0.0) for c in categories], dtype=np.float64)
    for side, values in (("observed", p), ("reference", q)):
        if (
            not len(values)
            or not np.isfinite(values).all()
            or values.min() < 0
            or values.sum() <= 0
        ):
            raise CookbookError(
                f"the {side} distribution must hold finite counts of 0 or more with a positive "
                f"total, got {values.tolist()}: count rows per category first"
            )
    return categories, p, q


def _refuse_probabilities(reference: FloatArray, alpha: float) -> None:
    if alpha > 0 and abs(reference.sum() - 1.0) < _PROBABILITY_TOLERANCE:
        raise CookbookError(
            "the reference sums to 1, so it looks like probabilities, and smoothing by "
            f"{alpha:g} would swamp it: pass counts, or scaled_to(reference, total of observed)"
        )


def _shares(counts: FloatArray) -> FloatArray:
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def _kl_bits(p: FloatArray, q: FloatArray) -> float:
    held = p > 0
    with np.errstate(divide="ignore"):
        return float((p[held] * np.log2(p[held] / q[held])).sum())
