"""Guards the order of first-stage retrieval: the arithmetic by hand, and what has no scores."""

import numpy as np
import pytest

from tasks.core.retrieval.first_stage import LEXICAL_WEIGHT, retrieval_order

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
