"""Ranking metrics per query. Gain 2^grade - 1, discount 1 / log2(rank + 1)."""

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
) -> QueryScores:
    """NDCG@10 of each query's graded candidates, ties broken by doc_id.

    Queries without a grade above 0 have no ideal order: they are left out and counted.
    Two candidates of grades 1 and 0, the worse one first: (1 / log2(3)) / 1 = 0.6309.
    """
    return _by_query(query_ids, doc_ids, np.asarray(grades), np.asarray(scores), _ndcg)


def random_ndcg_at_10(query_ids: Sequence[str], grades: npt.ArrayLike) -> QueryScores:
    """The expected NDCG@10 of a random order, exactly: every rank has the mean gain."""
    return _by_query(
        query_ids, query_ids, np.asarray(grades), np.zeros(len(query_ids)), _random_ndcg
    )


def reciprocal_rank(
    query_ids: Sequence[str],
    doc_ids: Sequence[str],
    relevant: npt.ArrayLike,
    scores: npt.ArrayLike,
) -> QueryScores:
    """1 / rank of each query's first relevant candidate, ``relevant`` 0 or 1; ties by doc_id.

    Queries without a relevant candidate are left out and counted.
    """
    return _by_query(
        query_ids, doc_ids, np.asarray(relevant), np.asarray(scores), lambda r: 1 / (1 + r.argmax())
    )


def precision_at_10(
    query_ids: Sequence[str],
    doc_ids: Sequence[str],
    relevant: npt.ArrayLike,
    scores: npt.ArrayLike,
) -> QueryScores:
    """A tenth of how many of each query's first ten are relevant; queries as above.

    A query with fewer than ten candidates cannot reach 1, as is usual for this metric.
    """
    return _by_query(
        query_ids, doc_ids, np.asarray(relevant), np.asarray(scores), lambda r: r[:10].sum() / 10
    )


def _by_query(
    query_ids: Sequence[str],
    doc_ids: Sequence[str],
    grades: npt.NDArray[np.generic],
    scores: npt.NDArray[np.generic],
    metric: Callable[[Floats], float],
) -> QueryScores:
    keys = np.asarray(query_ids)
    order = np.lexsort((np.asarray(doc_ids), -scores.astype(np.float64), keys))
    names, starts = np.unique(keys[order], return_index=True)
    kept, values = [], []
    for name, ranked in zip(
        names, np.split(grades[order].astype(np.float64), starts[1:]), strict=True
    ):
        if ranked.max() > 0:
            kept.append(str(name))
            values.append(metric(ranked))
    return QueryScores(tuple(kept), np.array(values), len(names) - len(kept))


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
