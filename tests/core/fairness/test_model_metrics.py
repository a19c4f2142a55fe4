"""Guards the model metrics: LiFT's published answers, scikit-learn, and LiFT's traps."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from tasks.core.errors import CookbookError
from tasks.core.fairness.model_metrics import (
    auc,
    confusion_matrix,
    precision_at_k,
    prepare_scores,
    roc_curve,
)

# LiFT's StatsUtilsTest.
LABELS = np.array([1, 1, 0, 0, 0, 1, 1, 0, 0, 0], dtype=float)
DECISIONS = np.array([1, 0, 0, 0, 1, 0, 0, 1, 1, 1], dtype=float)
SCORES = np.array([0.8, 0.0, 0.4, 0.1, 0.9, 0.2, 0.2, 1.0, 0.7, 0.7])
PROBABILITIES = np.array([0.8, 0.0, 0.4, 0.1, 0.9, 0.2, 0.3, 1.0, 0.6, 0.7])


def test_confusion_matrix_gives_lifts_published_counts():
    found = confusion_matrix(LABELS, DECISIONS)
    assert (found.true_positive, found.false_positive) == (1.0, 4.0)
    assert (found.true_negative, found.false_negative) == (2.0, 3.0)
    assert found.precision == pytest.approx(0.2)
    assert found.recall == pytest.approx(0.25)
    assert found.false_positive_rate == pytest.approx(2 / 3)
    assert found.false_negative_rate == pytest.approx(0.75)
    assert found.true_negative_rate == pytest.approx(1 / 3)


def test_confusion_matrix_of_probabilities_holds_expected_counts():
    found = confusion_matrix(LABELS, PROBABILITIES)
    counts = (found.true_positive, found.false_positive, found.true_negative, found.false_negative)
    assert counts == pytest.approx((1.3, 3.7, 2.3, 2.7))


def test_a_rate_is_zero_where_nothing_is_counted():
    nothing_selected = confusion_matrix(np.array([1.0, 0.0]), np.array([0.0, 0.0]))
    assert nothing_selected.precision == 0.0
    assert nothing_selected.recall == 0.0
    assert confusion_matrix(np.array([1.0]), np.array([1.0])).true_negative_rate == 0.0


def test_roc_curve_is_lifts_with_the_origin_in_front():
    false_positive, true_positive = roc_curve(LABELS, SCORES)
    assert false_positive.tolist() == pytest.approx(
        [0, 1 / 6, 1 / 3, 1 / 3, 2 / 3, 5 / 6, 5 / 6, 1, 1]
    )
    assert true_positive.tolist() == pytest.approx([0, 0, 0, 0.25, 0.25, 0.25, 0.75, 0.75, 1])


def test_auc_gives_lifts_published_values():
    good = np.array([1.0, 0.8, 0.5, 0.7, 0.7, 0.6, 0.4, 0.2, 0.1, 0.0])
    perfect = np.array([1.0, 0.8, 0.7, 0.7, 0.6, 0.6, 0.4, 0.2, 0.1, 0.0])
    labels = np.array([1.0] * 4 + [0.0] * 6)
    assert auc(LABELS, SCORES) == pytest.approx(0.25)
    assert auc(labels, good) == pytest.approx(0.89583, abs=5e-6)
    assert auc(labels, perfect) == 1.0


def test_auc_counts_the_area_before_the_first_threshold():
    """LiFT's curve starts at the first threshold: it says 0.375 here, and 0 for tied scores."""
    assert auc(np.array([1.0, 0, 1, 0]), np.array([0.9, 0.9, 0.1, 0.1])) == 0.5
    assert auc(np.array([1.0, 0, 1, 0]), np.full(4, 0.3)) == 0.5


def test_auc_is_scikit_learns_with_many_ties():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 500).astype(float)
    scores = rng.integers(0, 20, 500) / 20 + 0.1 * labels.round()
    assert auc(labels, scores) == pytest.approx(sklearn_metrics.roc_auc_score(labels, scores))


def test_auc_of_one_class_is_undefined_rather_than_zero():
    assert np.isnan(auc(np.ones(3), np.array([0.1, 0.2, 0.3])))


def test_precision_at_k_gives_lifts_published_values():
    labels = [1, 1, 2, 0, 2, 2, 1, 1, 0, 1, 2, 2, 1, 0, 0, 2, 2, 2, 1, 1, 0]
    ranks = np.array([*range(1, 5), *range(1, 12), *range(1, 7)])
    queries = np.repeat([1, 2, 3], [4, 11, 6])
    expected = {(1, 5): 0.85, (2, 5): 0.41667, (1, 10): 0.79444, (2, 10): 0.38333}
    for (threshold, k), value in expected.items():
        found = precision_at_k(np.array(labels, float), ranks, queries, threshold=threshold, k=k)
        assert found == pytest.approx(value, abs=5e-6)


def test_precision_at_k_of_a_group_keeps_the_ranks_of_the_whole_list():
    # The group's only row stands at rank 6: nobody who looks at five rows sees it.
    found = precision_at_k(np.array([1.0]), np.array([6]), np.array([0]), threshold=1, k=5)
    assert found == 0.0


def test_precision_by_group_gives_lifts_published_benefit_map():
    labels = np.array([1.0, 0, 1, 1, 0, 0, 1, 1])
    ranks = np.array([1, 2, 3, 1, 2, 3, 4, 1])
    queries = np.array([1, 1, 1, 2, 2, 2, 2, 3])
    male = np.array([1, 1, 0, 1, 0, 1, 0, 1], dtype=bool)
    for rows, published in ((male, 2 / 3), (~male, 0.75)):
        found = precision_at_k(labels[rows], ranks[rows], queries[rows], threshold=1, k=25)
        assert found == pytest.approx(published)


def test_prepared_scores_are_lifts_published_probabilities():
    raw = np.array([0.3, 0.4, 0.8, 0.6])
    assert prepare_scores(raw, raw=True).tolist() == pytest.approx(
        [0.574442516811659, 0.598687660112452, 0.6899744811276125, 0.6456563062257954]
    )
    assert prepare_scores(raw, raw=True, threshold=0.6).tolist() == [0, 0, 1, 1]


def test_a_score_at_the_threshold_is_not_above_it():
    assert prepare_scores(np.array([0.5, 0.51]), raw=False, threshold=0.5).tolist() == [0, 1]


def test_raw_logits_never_enter_a_rate():
    """LiFT computes sampled metrics on logits once a query id is given; ours refuse them."""
    with pytest.raises(CookbookError, match="raw logits"):
        confusion_matrix(np.array([1.0, 0.0]), np.array([2.3, -0.4]))
    with pytest.raises(CookbookError, match="raw logits"):
        prepare_scores(np.array([2.3, -0.4]), raw=False)


def test_grades_are_refused_where_labels_must_be_binary():
    with pytest.raises(CookbookError, match="grade on"):
        auc(np.array([0.0, 3.0]), np.array([0.1, 0.2]))
