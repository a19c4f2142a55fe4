"""Pairs that people could grade: traffic with its best documents and some at random."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tasks.core.labeling.golden import Candidate
from tasks.core.retrieval.bm25 import Bm25Index, Floats, top
from tasks.core.retrieval.query_kinds import query_kinds
from tasks.core.tables import Row
from tasks.core.text import pair_id

# Without them no golden pair would be hopeless, and the lowest grade would go untested.
_AT_RANDOM = 2


def golden_pool(
    queries: Sequence[Row],
    documents: Sequence[Row],
    members: Sequence[Row],
    *,
    per_query: int,
    sureness: Mapping[str, float],
    seed: int = 0,
) -> list[Candidate]:
    """Every query with ``per_query`` documents, its kind, and how sure the pair is.

    ``sureness`` holds a judge's highest grade probability by pair_id. Where it is empty, a pair
    is the surer the farther its BM25 score is from the middle of its query's; where it holds
    some pairs, the others' is unknown.
    """
    kinds = query_kinds(queries, documents, {row["member_id"]: row for row in members})
    index = Bm25Index([f"{row['title']} {row['text']}" for row in documents])
    generator = np.random.default_rng(seed)
    return [
        Candidate(
            query_id=row["query_id"],
            query=row["query"],
            member_id=row["member_id"],
            doc_id=doc_id,
            kind=kinds[row["query_id"]],
            sureness=sureness.get(pair_id(row["query_id"], row["member_id"] or None, doc_id))
            if sureness
            else by_rank,
        )
        for row in queries
        for doc_id, by_rank in _documents(row, documents, index, per_query, generator)
    ]


def _documents(
    query: Row,
    documents: Sequence[Row],
    index: Bm25Index,
    count: int,
    generator: np.random.Generator,
) -> Iterator[tuple[str, float]]:
    """Ids of the query's documents, and 0 for a score in their middle up to 1 at either end."""
    scores = index.scores(query["query"])
    found = [int(place) for place in top(scores, count)]
    rest = [int(n) for n in generator.integers(0, len(documents), _AT_RANDOM)]
    chosen = list(dict.fromkeys([*found, *rest]))
    yield from zip(
        (documents[place]["doc_id"] for place in chosen),
        _distance_from_middle(scores[chosen]),
        strict=True,
    )


def _distance_from_middle(scores: Floats) -> list[float]:
    low, high = float(scores.min()), float(scores.max())
    if high == low:
        return [1.0] * len(scores)
    return [abs(2 * (float(score) - low) / (high - low) - 1) for score in scores]
