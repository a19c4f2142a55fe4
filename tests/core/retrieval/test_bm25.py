"""Guards BM25: against its formula by hand, and what counts as a word."""

import math

import numpy as np
import pytest

from tasks.core.retrieval.bm25 import Bm25Index, top
from tasks.core.text import words

TEXTS = ["night nurse", "nurse nurse icu ward", "chef", ""]


def _by_hand(query, k1=1.5, b=0.75):
    """Lucene's variant: log(1 + (N - n + 0.5) / (n + 0.5)) * f / (f + k1 (1 - b + b l / mean l)).

    An empty text is indexed as one empty word, so its length is 1.
    """
    documents = [text.split() or [""] for text in TEXTS]
    mean = sum(map(len, documents)) / len(documents)
    scores = []
    for document in documents:
        score = 0.0
        for word in query.split():
            n, f = sum(word in other for other in documents), document.count(word)
            idf = math.log(1 + (len(documents) - n + 0.5) / (n + 0.5))
            score += idf * f / (f + k1 * (1 - b + b * len(document) / mean))
        scores.append(score)
    return scores


@pytest.mark.parametrize("query", ["nurse", "icu nurse", "chef night unknown"])
def test_scores_equal_the_formula(query):
    assert Bm25Index(TEXTS).scores(query) == pytest.approx(_by_hand(query), rel=1e-5)


@pytest.mark.parametrize("query", ["unknown", "", "!?"])
def test_a_query_without_a_known_word_scores_nothing(query):
    assert Bm25Index(TEXTS).scores(query).tolist() == [0.0] * 4


def test_words_are_case_folded_and_keep_their_signs():
    assert words("C++, C# and Straße_2") == ["c++", "c#", "and", "strasse", "2"]


def test_the_best_come_first_without_those_of_no_score():
    assert top(np.array([0.0, 2.0, 1.0, 2.0], dtype=np.float32), 4).tolist() == [1, 3, 2]
    assert top(np.array([0.0, 2.0, 1.0, 2.0], dtype=np.float32), 1).tolist() == [1]
