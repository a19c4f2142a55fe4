"""The order that first-stage retrieval gives a query's candidates: nearness, and common words."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tasks.core.domain.catalog import Catalog
from tasks.core.retrieval.bm25 import Bm25Index
from tasks.core.retrieval.document_vectors import MAX_TOKENS, Vectors, document_vectors
from tasks.core.retrieval.embeddings import TextEncoder
from tasks.core.tables import Row

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


def retrieval_scores(
    catalog: Catalog, encoder: TextEncoder, rows: Sequence[Row], known: Vectors
) -> tuple[list[float], list[float]]:
    """BM25 and cosine of each row's query and document, both (rows,), whoever found the pair.

    ``known`` are vectors of documents that need not be embedded again.
    """
    index = Bm25Index(catalog.retrieval_texts())
    places = {doc_id: place for place, doc_id in enumerate(catalog.documents)}
    asked: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        asked[row["query"]].append(number)
    bm25 = np.empty(len(rows))
    # One query at a time: scores of all documents for all queries of a log would take gigabytes.
    for query, numbers in asked.items():
        bm25[numbers] = index.scores(query)[[places[rows[n]["doc_id"]] for n in numbers]]
    texts = sorted(asked)
    queries = dict(zip(texts, encoder.embed(texts, max_tokens=MAX_TOKENS), strict=True))
    documents = document_vectors(encoder, catalog, (row["doc_id"] for row in rows), known)
    cosines = [float(queries[row["query"]] @ documents[row["doc_id"]]) for row in rows]
    return bm25.tolist(), cosines
