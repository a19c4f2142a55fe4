"""Embeddings of documents, by doc_id: for nearness to a query, and for what an effect sees."""

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from tasks.core.domain.catalog import Catalog
from tasks.core.retrieval.embeddings import TextEncoder

MAX_TOKENS = 64
Vectors = Mapping[str, npt.NDArray[np.float32]]


def document_vectors(
    encoder: TextEncoder, catalog: Catalog, doc_ids: Iterable[str], known: Vectors
) -> dict[str, npt.NDArray[np.float32]]:
    """A unit vector of each document's judged text, in the order of the ids.

    Those that are ``known`` are not read again.
    """
    wanted = sorted(set(doc_ids))
    new = [doc_id for doc_id in wanted if doc_id not in known]
    texts = [catalog.judged_text(doc_id) for doc_id in new]
    found = encoder.embed(texts, max_tokens=MAX_TOKENS) if texts else ()
    added = dict(zip(new, found, strict=True))
    return {doc_id: added[doc_id] if doc_id in added else known[doc_id] for doc_id in wanted}
