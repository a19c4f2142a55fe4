"""A gap between two groups: its resamples, its interval, its corrected p-value."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student_t

from tasks.core.fairness.multiple_tests import Correction, corrected

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class GroupMetric:
    """A row of the report's fairness metrics: first group minus second, 95% interval, p.

    All four numbers are None where a group lacks what the metric needs, such as a positive.
    """

    tier: str
    name: str
    group_pair: str
    value: float | None
    low: float | None
    high: float | None
    p_value: float | None


@dataclass(frozen=True)
class GapDraws:
    """A gap, its value in every resample, and the clusters behind its smaller group."""

    tier: str
    name: str
    group_pair: str
    value: float
    draws: FloatArray
    n_clusters: int


def summarize(draws: GapDraws) -> GroupMetric:
    """Value, percentile interval and uncorrected p of a gap."""
    known = draws.draws[np.isfinite(draws.draws)]
    # Resamples without a positive in a group drop out; too many, and the rest mislead.
    if not np.isfinite(draws.value) or len(known) < 0.9 * len(draws.draws):
        return GroupMetric(draws.tier, draws.name, draws.group_pair, None, None, None, None)
    low, high = np.percentile(known, [2.5, 97.5])
    sd = known.std(ddof=1)
    if sd > 0:
        p = 2.0 * student_t.sf(abs(draws.value) / sd, draws.n_clusters - 1)
    else:
        p = 1.0 if draws.value == 0 else 1.0 / (1.0 + len(known))
    return GroupMetric(
        draws.tier, draws.name, draws.group_pair, draws.value, float(low), float(high), float(p)
    )


def correct_p_values(
    metrics: Sequence[GroupMetric], *, method: Correction = "holm"
) -> list[GroupMetric]:
    """The same rows with p-values corrected over all that have one; do it once only."""
    tested = [i for i, metric in enumerate(metrics) if metric.p_value is not None]
    p_values = corrected(np.array([metrics[i].p_value for i in tested], float), method=method)
    result = list(metrics)
    for i, p in zip(tested, p_values.tolist(), strict=True):
        result[i] = replace(metrics[i], p_value=p)
    return result
