"""Guards NDCG@10 and the weighted AUC: against references, by hand, and where ties decide."""

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import RR, P, nDCG
from sklearn.metrics import ndcg_score, roc_auc_score

from tasks.core.ranking import (
    ndcg_at_10,
    precision_at_10,
    random_ndcg_at_10,
    reciprocal_rank,
    weighted_auc,
)

EXPONENTIAL_GAINS = {grade: 2**grade - 1 for grade in range(5)}


def _rankings(seed, *, n_queries=30, n_docs=25):
    rng = np.random.default_rng(seed)
    queries = np.repeat([f"q{i}" for i in range(n_queries)], n_docs)
    docs = np.tile([f"d{i}" for i in range(n_docs)], n_queries)
    grades = rng.choice(5, p=[0.6, 0.2, 0.1, 0.05, 0.05], size=len(queries))
    return queries.tolist(), docs.tolist(), grades, rng.permutation(len(queries)) / 7.0


def test_ndcg_equals_ir_measures():
    queries, docs, grades, scores = _rankings(0)
    qrels = [ir_measures.Qrel(*row) for row in zip(queries, docs, grades.tolist(), strict=True)]
    run = [ir_measures.ScoredDoc(*row) for row in zip(queries, docs, scores, strict=True)]
    measure = nDCG(dcg="log2", gains=EXPONENTIAL_GAINS) @ 10
    reference = {m.query_id: m.value for m in ir_measures.iter_calc([measure], qrels, run)}
    found = ndcg_at_10(queries, docs, grades, scores)
    assert found.left_out == 0
    assert dict(zip(found.query_ids, found.values, strict=True)) == pytest.approx(reference)


def test_ndcg_equals_sklearn_on_exponential_gains():
    queries, docs, grades, scores = _rankings(1)
    found = ndcg_at_10(queries, docs, grades, scores)
    gains, rows = 2.0 ** grades.reshape(30, -1) - 1, scores.reshape(30, -1)
    reference = {
        f"q{i}": ndcg_score(gains[i : i + 1], rows[i : i + 1], k=10, ignore_ties=True)
        for i in range(30)
    }
    assert dict(zip(found.query_ids, found.values, strict=True)) == pytest.approx(reference)


@pytest.mark.parametrize(
    ("ours", "theirs"), [(reciprocal_rank, RR(rel=2)), (precision_at_10, P(rel=2) @ 10)]
)
def test_reciprocal_rank_and_precision_equal_ir_measures(ours, theirs):
    queries, docs, grades, scores = _rankings(5)
    grades[:25] = 1  # the first query has nothing relevant
    qrels = [ir_measures.Qrel(*row) for row in zip(queries, docs, grades.tolist(), strict=True)]
    run = [ir_measures.ScoredDoc(*row) for row in zip(queries, docs, scores, strict=True)]
    reference = {m.query_id: m.value for m in ir_measures.iter_calc([theirs], qrels, run)}
    del reference["q0"]
    found = ours(queries, docs, grades >= 2, scores)
    assert found.left_out == 1
    assert dict(zip(found.query_ids, found.values, strict=True)) == pytest.approx(reference)


def test_three_candidates_by_hand():
    # Order a (grade 1), b (2), c (0): 1/log2(2) + 3/log2(3) over 3/log2(2) + 1/log2(3).
    value = (1 + 3 / np.log2(3)) / (3 + 1 / np.log2(3))
    found = ndcg_at_10(["q"] * 3, ["a", "b", "c"], [1, 2, 0], [3.0, 2.0, 1.0])
    assert found.mean == pytest.approx(value)


def test_the_eleventh_rank_counts_nothing():
    grades = [0] * 10 + [4]
    docs = [f"{i:02}" for i in range(11)]
    assert ndcg_at_10(["q"] * 11, docs, grades, -np.arange(11.0)).mean == 0
    assert ndcg_at_10(["q"] * 11, docs, grades, np.arange(11.0)).mean == 1


def test_ties_are_broken_by_document_not_by_the_order_of_rows():
    for order in ([0, 1], [1, 0]):
        docs, grades = np.array(["a", "b"])[order], np.array([0, 1])[order]
        found = ndcg_at_10(["q", "q"], docs.tolist(), grades, [1.0, 1.0])
        assert found.mean == pytest.approx(1 / np.log2(3))


def test_queries_without_a_relevant_document_are_left_out_and_counted():
    found = ndcg_at_10(["a", "a", "b", "c"], ["1", "2", "1", "1"], [0, 0, 0, 3], np.zeros(4))
    assert (found.query_ids, found.left_out) == (("c",), 2)


def test_a_query_has_the_mean_of_its_members_lists():
    queries, docs, grades, scores = _rankings(6, n_queries=1)
    member = ["annie", "alice"] * 12 + ["annie"]
    of_each = [
        ndcg_at_10(*(np.array(column)[np.array(member) == name] for column in rows)).mean
        for rows in [(queries, docs, grades, scores)]
        for name in ("alice", "annie")
    ]
    found = ndcg_at_10(queries, docs, grades, scores, member)
    assert found.query_ids == ("q0",)
    assert found.mean == pytest.approx(np.mean(of_each))
    # A member without a relevant candidate has no list to be measured on, and the query another.
    grades[np.array(member) == "alice"] = 0
    found = ndcg_at_10(queries, docs, grades, scores, member)
    assert (found.mean, found.left_out) == (pytest.approx(of_each[1]), 0)


def test_with_one_member_a_query_nothing_changes_by_a_bit():
    queries, docs, grades, scores = _rankings(7)
    members = [f"m{int(query[1:]) % 4}" if query != "q3" else "" for query in queries]
    for metric in (ndcg_at_10, reciprocal_rank, precision_at_10):
        one, other = (metric(queries, docs, grades, scores, ids) for ids in (None, members))
        assert one.query_ids == other.query_ids
        assert np.array_equal(one.values, other.values)


def test_a_perfect_order_has_ndcg_one():
    queries, docs, grades, _ = _rankings(2)
    assert ndcg_at_10(queries, docs, grades, grades).values == pytest.approx(1.0)


def test_the_random_order_is_the_mean_of_many_shuffles():
    rng = np.random.default_rng(3)
    grades = np.array([4, 3, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    docs = [f"{i:02}" for i in range(len(grades))]
    queries = ["q"] * len(grades)
    shuffled = [
        ndcg_at_10(queries, docs, grades, rng.random(len(grades))).mean for _ in range(4000)
    ]
    exact = random_ndcg_at_10(queries, grades).mean
    assert abs(exact - np.mean(shuffled)) < 4 * np.std(shuffled) / np.sqrt(4000)


def test_random_order_has_the_same_queries_as_the_ranking():
    queries, docs, grades, scores = _rankings(4)
    grades[:25] = 0
    found = random_ndcg_at_10(queries, grades)
    assert found.query_ids == ndcg_at_10(queries, docs, grades, scores).query_ids
    assert found.left_out == 1


@settings(max_examples=60)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 1), st.integers(-3, 3), st.integers(1, 5)), min_size=2, max_size=40
    )
)
def test_weighted_auc_equals_sklearn_ties_included(rows):
    labels, scores, weights = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    found = weighted_auc(labels, scores, weights)
    if labels.min() == labels.max():
        assert np.isnan(found)
    else:
        assert found == pytest.approx(roc_auc_score(labels, scores, sample_weight=weights))


def test_a_row_of_weight_zero_does_not_count():
    labels, scores = np.array([1.0, 0, 1]), np.array([2.0, 1, 0])
    assert weighted_auc(labels, scores, np.array([1.0, 1, 0])) == 1.0
    assert weighted_auc(labels, scores, np.ones(3)) == 0.5


def test_equal_scores_tell_nothing_apart():
    assert weighted_auc(np.array([1.0, 0, 1, 0]), np.zeros(4), np.ones(4)) == 0.5
