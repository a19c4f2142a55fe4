"""Embeddings of documents, by doc_id: what an effect sees of a document."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from tasks.core.domain.catalog import Catalog
from tasks.core.retrieval.embeddings import TextEncoder

MAX_TOKENS = 64


def document_vectors(
    encoder: TextEncoder, catalog: Catalog, doc_ids: Iterable[str]
) -> dict[str, npt.NDArray[np.float32]]:
    """A unit vector of each document's judged text, in the order of the ids."""
    wanted = sorted(set(doc_ids))
    texts = [catalog.judged_text(doc_id) for doc_id in wanted]
    return dict(zip(wanted, encoder.embed(texts, max_tokens=MAX_TOKENS), strict=True))
