"""The order that first-stage retrieval gives a query's candidates: nearness, and common words."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# What matching words may add to a cosine; measured (DECISIONS.md).
LEXICAL_WEIGHT = 0.2


def retrieval_order(cosines: Floats, bm25: Floats, queries: npt.NDArray[np.int64]) -> Floats:
    """One score per row, (rows,): its cosine, and its BM25 as a share of its query's best.

    ``queries`` are numbers from 0. NaN where a row was not retrieved and has no scores. The
    words say what a cosine of sentences blurs: a model number, a maker, a rare name.
    """
    best = np.zeros(int(queries.max(initial=-1)) + 1)
    np.fmax.at(best, queries, bm25)
    shares = bm25 / np.where(best > 0, best, 1.0)[queries]
    order: Floats = cosines + LEXICAL_WEIGHT * shares
    return order
