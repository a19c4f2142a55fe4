"""Guards the order of first-stage retrieval: the arithmetic by hand, and what has no scores."""

import numpy as np
import pytest

from tasks.core.domain.catalog import Catalog
from tasks.core.retrieval.bm25 import Bm25Index
from tasks.core.retrieval.embeddings import TextEncoder
from tasks.core.retrieval.first_stage import LEXICAL_WEIGHT, retrieval_order, retrieval_scores
from tasks.core.training.base_models import BaseModel

NAN = float("nan")


def test_the_best_words_of_a_query_add_the_whole_weight():
    order = retrieval_order(
        np.array([0.5, 0.4, 0.3]), np.array([6.0, 12.0, 2.0]), np.array([0, 0, 1])
    )
    assert order == pytest.approx(
        [0.5 + LEXICAL_WEIGHT / 2, 0.4 + LEXICAL_WEIGHT, 0.3 + LEXICAL_WEIGHT]
    )


def test_a_query_without_common_words_keeps_its_cosines():
    cosines = np.array([0.5, 0.4])
    assert retrieval_order(cosines, np.zeros(2), np.zeros(2, dtype=np.int64)) == pytest.approx(
        cosines
    )


def test_rows_that_were_not_retrieved_stay_unknown_and_decide_over_no_other():
    order = retrieval_order(np.array([NAN, 0.4]), np.array([NAN, 3.0]), np.zeros(2, dtype=np.int64))
    assert np.isnan(order[0])
    assert order[1] == pytest.approx(0.4 + LEXICAL_WEIGHT)


def test_no_rows_no_order():
    assert len(retrieval_order(np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64))) == 0


def test_every_row_gets_its_own_querys_score_of_its_own_document():
    """Queries come mixed, and more than once with the same document."""
    documents = {
        name: {"title": title, "text": "night shifts", "attributes": "{}"}
        for name, title in (("d1", "nurse"), ("d2", "pilot"), ("d3", "nurse and pilot"))
    }
    catalog = Catalog(documents, {})
    asked = [("nurse", "d3"), ("pilot", "d1"), ("nurse", "d1"), ("pilot", "d2"), ("nurse", "d3")]
    rows = [{"query": query, "doc_id": name} for query, name in asked]
    encoder = TextEncoder.of(BaseModel("random_encoder", "tiny"))
    bm25, cosines = retrieval_scores(catalog, encoder, rows, {})
    index, places = Bm25Index(catalog.retrieval_texts()), [*documents]
    assert bm25 == [index.scores(query)[places.index(name)] for query, name in asked]
    assert bm25[1] == 0 < min(bm25[0], bm25[2], bm25[3])
    texts, judged = ["nurse", "pilot"], [catalog.judged_text(name) for name in places]
    near = encoder.embed(texts, max_tokens=64) @ encoder.embed(judged, max_tokens=64).T
    expected = [near[texts.index(query), places.index(name)] for query, name in asked]
    assert cosines == pytest.approx(expected, abs=1e-5)
