"""Ranking metrics per query. Gain 2^grade - 1, discount 1 / log2(rank + 1).

What fits one member says nothing of what fits another: where several share a query_id
(``member_ids``, "" for nobody), each one's candidates are a list by itself, and the query has the
mean of its lists. Without ``member_ids`` a query is one list.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class QueryScores:
    """A metric by query, in sorted order of query ids; ``left_out`` counts queries without it."""

    query_ids: tuple[str, ...]
    values: Floats
    left_out: int

    @property
    def mean(self) -> float:
        return float(self.values.mean())


def ndcg_at_10(
    query_ids: Sequence[str],
    doc_ids: Sequence[str],
    grades: npt.ArrayLike,
    scores: npt.ArrayLike,
    member_ids: Sequence[str] | None = None,
) -> QueryScores:
    """NDCG@10 of each query's graded candidates, ties broken by doc_id.

    Queries without a grade above 0 have no ideal order: they are left out and counted.
    Two candidates of grades 1 and 0, the worse one first: (1 / log2(3)) / 1 = 0.6309.
    """
    return _by_query(query_ids, member_ids, doc_ids, grades, scores, _ndcg)


def random_ndcg_at_10(
    query_ids: Sequence[str], grades: npt.ArrayLike, member_ids: Sequence[str] | None = None
) -> QueryScores:
    """The expected NDCG@10 of a random order, exactly: every rank has the mean gain."""
    in_place = np.zeros(len(query_ids))
    return _by_query(query_ids, member_ids, query_ids, grades, in_place, _random_ndcg)


def reciprocal_rank(
    query_ids: Sequence[str],
    doc_ids: Sequence[str],
    relevant: npt.ArrayLike,
    scores: npt.ArrayLike,
    member_ids: Sequence[str] | None = None,
) -> QueryScores:
    """1 / rank of each query's first relevant candidate, ``relevant`` 0 or 1; ties by doc_id.

    Queries without a relevant candidate are left out and counted.
    """
    return _by_query(
        query_ids, member_ids, doc_ids, relevant, scores, lambda r: 1 / (1 + r.argmax())
    )


def precision_at_10(
    query_ids: Sequence[str],
    doc_ids: Sequence[str],
    relevant: npt.ArrayLike,
    scores: npt.ArrayLike,
    member_ids: Sequence[str] | None = None,
) -> QueryScores:
    """A tenth of how many of each query's first ten are relevant; queries as above.

    A query with fewer than ten candidates cannot reach 1, as is usual for this metric.
    """
    return _by_query(query_ids, member_ids, doc_ids, relevant, scores, lambda r: r[:10].sum() / 10)


def _by_query(
    query_ids: Sequence[str],
    member_ids: Sequence[str] | None,
    doc_ids: Sequence[str],
    grades: npt.ArrayLike,
    scores: npt.ArrayLike,
    metric: Callable[[Floats], float],
) -> QueryScores:
    keys = np.asarray(query_ids)
    members = np.zeros(len(keys)) if member_ids is None else np.asarray(member_ids)
    order = np.lexsort((np.asarray(doc_ids), -np.asarray(scores, np.float64), members, keys))
    keys, members = keys[order], members[order]
    starts = np.flatnonzero((keys[1:] != keys[:-1]) | (members[1:] != members[:-1])) + 1
    found: dict[str, list[float]] = {str(name): [] for name in np.unique(keys)}
    lists = np.split(np.asarray(grades)[order].astype(np.float64), starts)
    for name, ranked in zip(keys[np.append(0, starts)], lists, strict=True):
        if ranked.max() > 0:
            found[str(name)].append(metric(ranked))
    values = {name: np.mean(of_lists) for name, of_lists in found.items() if of_lists}
    return QueryScores(tuple(values), np.array([*values.values()]), len(found) - len(values))


def _gain(grades: Floats) -> Floats:
    gain: Floats = 2.0**grades - 1.0
    return gain


def _discounts(n: int) -> Floats:
    discounts: Floats = 1.0 / np.log2(np.arange(2, n + 2))
    return discounts


def _ideal(grades: Floats) -> float:
    best = np.sort(grades)[::-1][:10]
    return float((_gain(best) * _discounts(len(best))).sum())


def _ndcg(ranked: Floats) -> float:
    first = ranked[:10]
    return float((_gain(first) * _discounts(len(first))).sum()) / _ideal(ranked)


def _random_ndcg(grades: Floats) -> float:
    return float(_gain(grades).mean() * _discounts(min(10, len(grades))).sum()) / _ideal(grades)


def weighted_auc(labels: Floats, scores: Floats, weights: Floats) -> float:
    """Area under the ROC curve with row weights, ties counted half; NaN with one class.

    Labels (1, 0) with scores (2, 1) have area 1; equal scores have 0.5.
    """
    order = np.argsort(scores, kind="stable")
    labels, scores, weights = labels[order], scores[order], weights[order]
    positive, negative = weights * labels, weights * (1.0 - labels)
    starts = np.flatnonzero(np.diff(scores, prepend=-np.inf) > 0)
    positives, negatives = np.add.reduceat(positive, starts), np.add.reduceat(negative, starts)
    below = np.cumsum(negatives) - negatives
    total = positive.sum() * negative.sum()
    if total == 0:
        return float("nan")
    return float((positives * (below + 0.5 * negatives)).sum() / total)
