"""Which rows train: lower bound, exact upper bound by a seeded reservoir, fewer negatives."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.core.personalization.compiled import compiled
from tasks.core.personalization.entities import Grouping, Ids, hash_ids, keep_rows
from tasks.core.personalization.options import RandomEffectOptions


@dataclass(frozen=True)
class ActiveRows:
    """Rows that train, by entity (those left without rows are gone), and all rows' weights (n,)."""

    grouping: Grouping
    weights: npt.NDArray[np.float64]
    passive_entities: int
    passive_rows: int


def choose_active_rows(
    grouping: Grouping,
    labels: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
    row_ids: Ids | None,
    known: npt.NDArray[np.bool_],
    options: RandomEffectOptions,
) -> ActiveRows:
    """Rows that train under the bounds of `options`; `known` (E,): entities of an earlier model.

    Kept rows of a sampled entity weigh count / upper_bound more and kept negatives
    1 / negative_rate, so weighted sums stay what they were on average; rows of weight 0 do not
    train. The draw depends on the
    row id and the seed alone, not on the order of the rows.
    Source: Photon ML's RandomEffectDataset; unlike GDMix's modulo of the row id, the cap is exact.
    """
    rows = len(grouping.order)
    weights = weights.astype(np.float64, copy=True)
    hashes = _row_hashes(grouping, rows, row_ids, options)
    kept = weights > 0
    if options.negative_rate < 1:
        negative = labels == 0
        drawn = hashes < np.uint64(options.negative_rate * 2.0**64)
        kept &= ~negative | drawn
        weights[negative] /= options.negative_rate
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15)  # the cap draws anew among the kept
    remaining = keep_rows(grouping, kept[grouping.order])
    bound = options.lower_bound if not options.lower_bound_needs_prior else 1
    required = np.where(known, options.lower_bound, bound)
    trains = remaining.counts >= required
    chosen = np.repeat(trains, remaining.counts)
    if options.upper_bound is not None:
        over = np.flatnonzero(trains & (remaining.counts > options.upper_bound))
        _cap(remaining.order, remaining.starts, over, hashes, options.upper_bound, chosen, weights)
    active = drop_empty(keep_rows(remaining, chosen))
    passive = len(grouping.entity_ids) - len(active.entity_ids)
    return ActiveRows(active, weights, passive, rows - len(active.order))


def drop_empty(grouping: Grouping) -> Grouping:
    """The grouping without entities that have no row."""
    full = grouping.counts > 0
    starts = np.append(grouping.starts[:-1][full], grouping.starts[-1])
    return Grouping(grouping.entity_ids.filter(full), grouping.order, starts)


def _row_hashes(
    grouping: Grouping, rows: int, row_ids: Ids | None, options: RandomEffectOptions
) -> npt.NDArray[np.uint64]:
    most = grouping.counts.max(initial=0)
    if options.negative_rate == 1 and (options.upper_bound is None or most <= options.upper_bound):
        return np.empty(0, np.uint64)
    ids = np.arange(rows).astype(np.str_) if row_ids is None else row_ids
    return hash_ids(ids, options.seed)


@compiled
def _cap(
    order: npt.NDArray[np.int64], starts: npt.NDArray[np.int64], over: npt.NDArray[np.int64],
    hashes: npt.NDArray[np.uint64], cap: int,
    chosen: npt.NDArray[np.bool_], weights: npt.NDArray[np.float64],
) -> None:  # fmt: skip
    for e in over:
        own = order[starts[e] : starts[e + 1]]
        ranked = np.argsort(hashes[own])
        for place in range(own.size):
            if place < cap:
                weights[own[ranked[place]]] *= own.size / cap
            else:
                chosen[starts[e] + ranked[place]] = False
