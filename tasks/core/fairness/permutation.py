"""Permutation test: could chance alone make two groups differ as much on a metric?"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.core.errors import CookbookError

Metric = Callable[[npt.NDArray[np.intp]], float]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PermutationResult:
    """Outcome of one test; `n_trials` counts the shuffles whose metric was defined."""

    first: float
    second: float
    difference: float
    p_value: float
    standard_error: float
    bootstrap_sd: float
    permutation_sd: float
    n_trials: int


def permutation_test(
    metric: Metric,
    is_first: npt.NDArray[np.bool_],
    *,
    clusters: npt.NDArray[np.integer] | None = None,
    n_trials: int = 2000,
    seed: int,
) -> PermutationResult:
    """Two-sided studentised test of metric(first group) - metric(second group).

    `metric` takes row numbers and returns its value on those rows; `is_first` says for each
    row of the two groups which group it is in. The observed difference is divided by its
    bootstrap sd (over both groups), each shuffled one by the sd of all shuffled. The bootstrap
    draws `clusters` whole, one number a row, by default each row alone: rows of one member or query
    stand or fall together, and drawn alone they would make many a difference look like no chance.
    p = (1 + shuffles more extreme) / (1 + shuffles): the observed order is one of the possible
    ones, so p is never 0. Shuffles on which the metric is undefined leave both counts.
    `standard_error` is sqrt(p (1 - p) / shuffles), the noise of p from a finite number of them.

    Raises: CookbookError when a group is empty, or the metric is undefined on a group.
    Source: DiCiccio et al., KDD 2020; LiFT PermutationTestUtils (which omits the +1).
    """
    rows_first, rows_second = np.flatnonzero(is_first), np.flatnonzero(~is_first)
    first, second = (metric(r) if len(r) else np.nan for r in (rows_first, rows_second))
    difference = first - second
    if not np.isfinite(difference):
        raise CookbookError(
            f"a permutation test needs two groups on which the metric is defined, got "
            f"{len(rows_first)} and {len(rows_second)} rows with values {first:g} and "
            f"{second:g}: leave this pair out"
        )
    rng = np.random.default_rng(seed)
    own = np.arange(len(is_first)) if clusters is None else clusters
    bootstrap_sd = _bootstrap_sd(metric, is_first, own, n_trials, rng)
    shuffled = _shuffled_differences(metric, len(rows_first), len(is_first), n_trials, rng)
    permutation_sd = _sd(shuffled)
    extreme = np.abs(_studentized(shuffled, permutation_sd)) > abs(
        float(_studentized(np.array([difference]), bootstrap_sd)[0])
    )
    p_value = (1.0 + extreme.sum()) / (1.0 + len(shuffled))
    return PermutationResult(
        first=first,
        second=second,
        difference=difference,
        p_value=float(p_value),
        standard_error=float(np.sqrt(p_value * (1.0 - p_value) / max(len(shuffled), 1))),
        bootstrap_sd=bootstrap_sd,
        permutation_sd=permutation_sd,
        n_trials=len(shuffled),
    )


def _bootstrap_sd(
    metric: Metric,
    is_first: npt.NDArray[np.bool_],
    clusters: npt.NDArray[np.integer],
    n_trials: int,
    rng: np.random.Generator,
) -> float:
    order = np.argsort(clusters, kind="stable")
    _, starts, sizes = np.unique(clusters[order], return_index=True, return_counts=True)
    differences = np.empty(n_trials)
    for trial in range(n_trials):
        drawn = rng.integers(0, len(sizes), len(sizes))
        ends = np.cumsum(sizes[drawn])
        rows = order[
            np.arange(ends[-1]) + np.repeat(starts[drawn] + sizes[drawn] - ends, sizes[drawn])
        ]
        first = is_first[rows]
        differences[trial] = metric(rows[first]) - metric(rows[~first])
    return _sd(differences[np.isfinite(differences)])


def _shuffled_differences(
    metric: Metric, n_first: int, n: int, n_trials: int, rng: np.random.Generator
) -> FloatArray:
    differences = np.empty(n_trials)
    for trial in range(n_trials):
        rows = rng.permutation(n)
        differences[trial] = metric(rows[:n_first]) - metric(rows[n_first:])
    return differences[np.isfinite(differences)]


def _sd(values: FloatArray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def _studentized(values: FloatArray, sd: float) -> FloatArray:
    # Where nothing varies, 0 / 0 is no difference and anything else is beyond every scale.
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(values / sd, nan=0.0, posinf=np.inf, neginf=-np.inf)
