"""Which pairs get a label: candidates of the traffic's queries, the near and the far ones."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.core.retrieval.bm25 import Bm25Index, top
from tasks.core.tables import Row
from tasks.core.text import normalize_query, pair_id

Floats = npt.NDArray[np.float32]
# What a pair's row holds, however it was found.
PAIR_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("pair_id", "query_id", "query", "member_id")),
        *((name, pa.string()) for name in ("doc_id", "source")),
        *((name, pa.float64()) for name in ("bm25", "cosine")),
    ]
)
# Ranks by embedding from which hard negatives are drawn: similar, yet past what fits.
HARD_RANKS = (20, 200)
# Two queries of this cosine or more are the same question in other words.
NEAR_DUPLICATE_COSINE = 0.95
# Queries compared with all earlier ones at once.
_BLOCK = 512


@dataclass(frozen=True)
class CandidateCounts:
    """Candidates per query, by the way they are found."""

    lexical: int
    dense: int
    hard_negatives: int
    random_negatives: int


def block_leaks(
    queries: Sequence[Row],
    vectors: Floats,
    blocked: Collection[str],
    blocked_vectors: Floats,
) -> npt.NDArray[np.bool_]:
    """Which queries may be trained on: none that equals or nearly repeats a blocked one.

    ``blocked`` are gate and sealed queries, ``vectors`` unit-length embeddings of both.
    """
    forms = {normalize_query(query) for query in blocked}
    exact = np.array([normalize_query(row["query"]) in forms for row in queries], dtype=bool)
    if not len(blocked_vectors) or not len(vectors):
        return ~exact
    nearest = (vectors @ blocked_vectors.T).max(axis=1)
    allowed: npt.NDArray[np.bool_] = ~exact & (nearest < NEAR_DUPLICATE_COSINE)
    return allowed


def without_repeats(
    queries: Sequence[Row], vectors: Floats, firsts: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Which queries say something new: all but made ones that nearly repeat an earlier query.

    ``firsts`` are the positions of the first query with the same words, from
    ``first_of_their_kind``. What members typed stays: it is the traffic to serve.
    """
    kept = np.ones(len(queries), dtype=bool)
    for start in range(0, len(queries), _BLOCK):
        block = vectors[start : start + _BLOCK]
        before = (block @ vectors[:start][kept[:start]].T).max(axis=1, initial=-1.0)
        within = block @ block.T
        for offset, row in enumerate(queries[start : start + _BLOCK]):
            place = start + offset
            if row["source"] == "generated_query":
                beside = within[offset, :offset][kept[start:place]].max(initial=-1.0)
                is_near = max(before[offset], beside) >= NEAR_DUPLICATE_COSINE
                kept[place] = firsts[place] == place and not is_near
    return kept


def find_candidates(
    queries: Sequence[Row],
    vectors: Floats,
    doc_ids: Sequence[str],
    doc_vectors: Floats,
    index: Bm25Index,
    counts: CandidateCounts,
    *,
    seed: int,
    firsts: npt.NDArray[np.int64] | None = None,
) -> Iterator[Row]:
    """Pairs of every query (rows with query_id, query, member_id, source), each once.

    The source of a pair is its query's where a template or a model wrote it, else how it was
    found. With ``firsts`` (``first_of_their_kind`` of the documents) a query gets one of several
    documents that are nearly the same.
    """
    generator = np.random.default_rng(seed)
    same_as = np.arange(len(doc_ids)) if firsts is None else firsts
    for query, vector in zip(queries, vectors, strict=True):
        cosines = doc_vectors @ vector
        lexical = index.scores(query["query"])
        seen: set[int] = set()
        for position, source in _positions(lexical, cosines, counts, generator):
            if same_as[position] in seen:
                continue
            seen.add(int(same_as[position]))
            doc_id = doc_ids[position]
            yield {
                "pair_id": pair_id(query["query_id"], query["member_id"] or None, doc_id),
                "query_id": query["query_id"],
                "query": query["query"],
                "member_id": query["member_id"],
                "doc_id": doc_id,
                "source": query["source"] or source,
                "bm25": float(lexical[position]),
                "cosine": float(cosines[position]),
            }


def _positions(
    lexical: Floats, cosines: Floats, counts: CandidateCounts, generator: np.random.Generator
) -> Iterator[tuple[int, str]]:
    nearest = np.argsort(-cosines, kind="stable")
    similar = nearest[HARD_RANKS[0] : HARD_RANKS[1]]
    hard = generator.permutation(similar)[: counts.hard_negatives]
    anywhere = generator.integers(0, len(cosines), size=counts.random_negatives)
    found = [
        *((int(i), "retrieved") for i in top(lexical, counts.lexical)),
        *((int(i), "retrieved") for i in nearest[: counts.dense]),
        *((int(i), "hard_negative") for i in [*hard, *anywhere]),
    ]
    seen: dict[int, str] = {}
    for position, source in found:
        seen.setdefault(position, source)
    yield from seen.items()
