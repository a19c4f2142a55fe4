"""A smaller data set to measure on, with its classes and its lists intact."""

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


def class_shares(
    n_positive: int, n_negative: int, n_rows: int, *, negative_share: float | None = None
) -> tuple[float, float]:
    """Sampling rate of positives and of negatives for about `n_rows` rows.

    Without `negative_share` both classes keep their proportion; with it the sample's share of
    negatives is that one. No rate exceeds 1.

    Source: LiFT StatsUtils.computePosNegSamplePercentages. 4 and 6 rows, 5 wanted with 80%
    negatives: 1/4 and 4/6.
    """
    if negative_share is None:
        rate = min(1.0, n_rows / (n_positive + n_negative))
        return rate, rate
    positive = min(1.0, n_rows * (1.0 - negative_share) / max(n_positive, 1))
    negative = min(1.0, n_rows * negative_share / max(n_negative, 1))
    return positive, negative


def sample_rows(
    positive: Mask, n_rows: int, *, negative_share: float | None = None, seed: int
) -> Mask:
    """About `n_rows` rows drawn independently, positives and negatives at their own rate."""
    n_positive = int(positive.sum())
    rates = class_shares(
        n_positive, len(positive) - n_positive, n_rows, negative_share=negative_share
    )
    chance = np.where(positive, *rates)
    return np.random.default_rng(seed).random(len(positive)) < chance


def sample_lists(queries: npt.NDArray[np.generic], n_rows: int, *, seed: int) -> Mask:
    """Whole lists drawn until about `n_rows` rows: half a list has no rank."""
    names, number = np.unique(queries, return_inverse=True)
    drawn = np.random.default_rng(seed).random(len(names)) < n_rows / len(queries)
    return np.asarray(drawn[number], dtype=np.bool_)
