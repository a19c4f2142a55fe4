"""Pairs for grades that nobody gave: where retrieval promises just these.

A grade without labels teaches nothing, and its pairs lie in a band of the retrieval scores: the
top grade above what was asked, the middle one between. A model of the two scores, fitted to the
grades that there are, tells which unlabeled pairs of the queries come nearest to the missing one.
"""

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tasks.core.retrieval.bm25 import Bm25Index
from tasks.core.retrieval.disagreements import fit_promises, pair_row, promises
from tasks.core.tables import Row

_PER_QUERY = 4


def pairs_near_grades(
    labels: Sequence[Row],
    missing: Collection[int],
    vectors: Mapping[str, npt.NDArray[np.float32]],
    doc_ids: Sequence[str],
    doc_vectors: npt.NDArray[np.float32],
    index: Bm25Index,
    *,
    count: int,
) -> list[Row]:
    """``count`` new pairs at most, as many for each missing grade, those nearest to it first.

    ``labels`` have query_id, query, member_id, grade, bm25 and cosine; ``vectors`` are unit-length
    embeddings by query text. A query gives four pairs a grade at most.
    """
    if not missing or not labels:
        return []
    model = fit_promises(labels)
    labeled = {row["pair_id"] for row in labels}
    queries = {row["query_id"]: row for row in labels}

    def near(grade: int) -> Iterator[tuple[float, str, Row]]:
        for query in queries.values():
            scores = index.scores(query["query"]), doc_vectors @ vectors[query["query"]]
            distance = np.abs(promises(model, *scores) - grade)
            for place in np.argsort(distance, kind="stable")[:_PER_QUERY]:
                row = pair_row(query, doc_ids[int(place)], *scores, int(place))
                if row["pair_id"] not in labeled:
                    yield float(distance[place]), row["pair_id"], row

    each = -(-count // len(missing))
    found = [
        row
        for grade in sorted(missing)
        for _, _, row in heapq.nsmallest(each, near(grade), key=lambda one: one[:2])
    ]
    return list({row["pair_id"]: row for row in found}.values())[:count]
