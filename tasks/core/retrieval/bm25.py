"""BM25 over the documents' text: the lexical half of candidate retrieval, and a baseline."""

from collections.abc import Sequence

import bm25s
import numpy as np
import numpy.typing as npt

from tasks.core.text import words

Floats = npt.NDArray[np.float32]


class Bm25Index:
    """An index of the documents' words (Lucene's BM25 variant, k1 1.5, b 0.75)."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._index = bm25s.BM25()
        one: dict[str, str] = {}  # each word once in memory, however many texts say it
        said = [[one.setdefault(word, word) for word in words(text)] or [""] for text in texts]
        self._index.index(said, show_progress=False)

    def scores(self, query: str) -> Floats:
        """Score of every document, shape (documents,); zero where no word matches."""
        known = [word for word in words(query) if word in self._index.vocab_dict]
        if not known:
            return np.zeros(self._index.scores["num_docs"], dtype=np.float32)
        scores: Floats = self._index.get_scores(known)
        return scores


def top(scores: Floats, k: int) -> npt.NDArray[np.int64]:
    """Positions of the ``k`` highest scores above zero, best first, ties by position."""
    order = np.argsort(-scores, kind="stable")[:k]
    return order[scores[order] > 0].astype(np.int64)
