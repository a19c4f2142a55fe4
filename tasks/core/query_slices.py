"""Whether a candidate loses on some kind of query while the mean of all hides it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.core.fairness.multiple_tests import corrected
from tasks.core.intervals import Interval, bootstrap_mean, cluster_weights
from tasks.core.tables import Row

# Fewer queries than a verdict on the whole needs tell nothing about a slice either.
LEAST_QUERIES = 8
WORDS = ((1, 3, "of 1 to 3 words"), (4, 5, "of 4 or 5 words"), (6, 10**6, "of 6 words or more"))


@dataclass(frozen=True)
class SliceGain:
    """A slice's change of NDCG@10; ``p_value``: chance of it if the margin were lost, by Holm.

    None where the slice has too few queries to be tested.
    """

    name: str
    gain: Interval
    p_value: float | None


def query_slices(rows: Sequence[Row]) -> dict[str, set[str]]:
    """query_ids by slice: how long the query is, and whether a member asks.

    A slice that holds every query is left out: it is the whole.
    """
    found: dict[str, set[str]] = {}
    for row in rows:
        words = len(row["query"].split())
        length = next(name for low, high, name in WORDS if words <= high)
        asks = "asked by a member" if row["member_id"] else "asked by nobody known"
        for name in (length, asks):
            found.setdefault(name, set()).add(row["query_id"])
    everything = {row["query_id"] for row in rows}
    return {name: ids for name, ids in sorted(found.items()) if ids != everything}


def slice_gains(
    differences: Mapping[str, float],
    slices: Mapping[str, set[str]],
    *,
    margin: float,
    n_resamples: int = 2000,
    seed: int = 0,
) -> tuple[SliceGain, ...]:
    """Each slice's gain, of differences by query.

    The p-value is that of a one-sided bootstrap test of "the slice loses ``margin`` or more",
    corrected by Holm for the number of slices tested: those of 8 queries or more.
    """
    columns = {
        name: np.array([differences[query] for query in sorted(ids & differences.keys())])
        for name, ids in slices.items()
    }
    tested = [name for name, values in columns.items() if len(values) >= LEAST_QUERIES]
    raw = [_p_value(columns[name], margin, n_resamples, seed) for name in tested]
    p_values = dict(zip(tested, corrected(np.array(raw)).tolist(), strict=True))
    return tuple(
        SliceGain(
            name,
            bootstrap_mean(values, n_resamples=n_resamples, seed=seed),
            p_values.get(name),
        )
        for name, values in columns.items()
        if len(values)
    )


def _p_value(values: npt.NDArray[np.float64], margin: float, n_resamples: int, seed: int) -> float:
    weights = cluster_weights(len(values), n_resamples=n_resamples, seed=seed)
    lost = (weights @ values) / len(values) <= -margin
    # The sample itself is one of the resamples that could have been.
    return float((1 + lost.sum()) / (1 + n_resamples))
