"""What a ranking gives to each group: exposure, attention for merit, quality of its list."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def ranks_within(lists: IntArray, scores: FloatArray) -> IntArray:
    """Rank of each row in its list by falling score, from 1; ties keep the order of the rows.

    `lists` holds any integer per row, equal within a list. Hand rows in sorted by doc_id to
    break ties by it.
    """
    order = np.lexsort((-scores, lists))
    starts = np.flatnonzero(np.diff(lists[order], prepend=lists[order][:1] - 1))
    lengths = np.diff(np.append(starts, len(lists)))
    ranks = np.empty(len(lists), dtype=np.int64)
    ranks[order] = np.arange(len(lists)) - np.repeat(starts, lengths) + 1
    return ranks


def exposure(ranks: IntArray) -> FloatArray:
    """Attention that a rank can expect: 1 / log2(rank + 1), so 1 at the top, .63 at rank 2."""
    return np.asarray(1.0 / np.log2(ranks + 1.0), dtype=np.float64)


def exposure_by_group(ranks: IntArray, groups: IntArray, n_groups: int) -> FloatArray:
    """Mean exposure of a row of each group; equal values are exposure parity.

    Source: Singh and Joachims, KDD 2018, section 4.1.
    """
    rows = np.bincount(groups, minlength=n_groups)
    return np.bincount(groups, weights=exposure(ranks), minlength=n_groups) / rows


def attention_by_group(
    ranks: IntArray, relevance: FloatArray, groups: IntArray, n_groups: int
) -> FloatArray:
    """Each group's share of exposure over its share of relevance; 1 is attention for merit.

    `relevance` is 0 or more, in any unit. A group without relevance gets infinity.

    Source: Biega et al., SIGIR 2018; Singh and Joachims 2018 (disparate treatment).
    """
    seen = np.bincount(groups, weights=exposure(ranks), minlength=n_groups)
    merit = np.bincount(groups, weights=relevance, minlength=n_groups)
    with np.errstate(divide="ignore", invalid="ignore"):
        share: FloatArray = (seen / seen.sum()) / (merit / merit.sum())
    return share


def ndcg_by_list(
    lists: IntArray, scores: FloatArray, grades: FloatArray, n_lists: int, *, k: int = 10
) -> FloatArray:
    """NDCG@k of each list 0 .. n_lists - 1; NaN for a list without a grade above 0.

    Gain 2^grade - 1, discount 1 / log2(rank + 1), as everywhere in the project.
    """
    gain = np.exp2(grades) - 1.0
    found = _dcg(lists, ranks_within(lists, scores), gain, n_lists, k)
    best = _dcg(lists, ranks_within(lists, grades), gain, n_lists, k)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(best > 0, found / best, np.nan)


def _dcg(lists: IntArray, ranks: IntArray, gain: FloatArray, n_lists: int, k: int) -> FloatArray:
    discounted = np.where(ranks <= k, gain * exposure(ranks), 0.0)
    return np.asarray(np.bincount(lists, weights=discounted, minlength=n_lists), np.float64)
