"""Guards exposure, attention and NDCG by list: hand arithmetic and ir-measures."""

import ir_measures
import numpy as np
import pytest

from tasks.core.fairness.ranking import (
    attention_by_group,
    exposure,
    exposure_by_group,
    ndcg_by_list,
    ranks_within,
)


def test_ranks_start_at_one_in_every_list():
    lists = np.array([7, 3, 7, 3, 7])
    scores = np.array([0.1, 0.9, 0.3, 0.2, 0.2])
    assert ranks_within(lists, scores).tolist() == [3, 1, 1, 2, 2]


def test_tied_rows_keep_their_order():
    assert ranks_within(np.zeros(3, dtype=int), np.array([0.5, 0.5, 0.9])).tolist() == [2, 3, 1]


def test_exposure_falls_with_the_logarithm_of_the_rank():
    assert exposure(np.array([1, 3, 7])).tolist() == pytest.approx([1, 1 / 2, 1 / 3])


def test_exposure_by_group_is_the_mean_over_its_rows():
    # Group 0 at ranks 1 and 3: (1 + .5) / 2; group 1 at rank 7.
    found = exposure_by_group(np.array([1, 7, 3]), np.array([0, 1, 0]), 2)
    assert found.tolist() == pytest.approx([0.75, 1 / 3])


def test_attention_is_one_for_every_group_when_it_follows_merit():
    ranks, groups = np.array([1, 3, 7]), np.array([0, 1, 1])
    found = attention_by_group(ranks, exposure(ranks) * 40, groups, 2)
    assert found.tolist() == pytest.approx([1.0, 1.0])


def test_equally_relevant_groups_share_attention_by_rank():
    # Exposure 1 and 1/2 for equal merit: (2/3)/(1/2) and (1/3)/(1/2).
    found = attention_by_group(np.array([1, 3]), np.ones(2), np.array([0, 1]), 2)
    assert found.tolist() == pytest.approx([4 / 3, 2 / 3])


def test_ndcg_is_that_of_ir_measures_with_exponential_gain():
    rng = np.random.default_rng(0)
    lists = np.repeat(np.arange(20), 15)
    grades = rng.integers(0, 5, 300).astype(float)
    scores = rng.normal(size=300)
    # ir-measures' nDCG takes the gain as the grade itself: hand it 2^grade - 1.
    rows = [(f"{q}", f"d{i}") for i, q in enumerate(lists)]
    qrels = [ir_measures.Qrel(q, d, int(2**g - 1)) for (q, d), g in zip(rows, grades, strict=True)]
    run = [ir_measures.ScoredDoc(q, d, s) for (q, d), s in zip(rows, scores, strict=True)]
    expected = {
        m.query_id: m.value for m in ir_measures.iter_calc([ir_measures.nDCG @ 10], qrels, run)
    }
    found = ndcg_by_list(lists, scores, grades, 20, k=10)
    assert found.tolist() == pytest.approx([expected[str(q)] for q in range(20)])


def test_a_list_without_a_relevant_row_has_no_ndcg():
    found = ndcg_by_list(np.array([0, 0, 1]), np.ones(3), np.array([0.0, 0.0, 2.0]), 2)
    assert np.isnan(found[0])
    assert found[1] == 1.0
