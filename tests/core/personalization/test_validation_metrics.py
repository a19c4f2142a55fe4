"""Validation metrics against published values, scikit-learn and hand arithmetic."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from tasks.core.personalization.validation_metrics import (
    area_under_precision_recall,
    auc,
    grouped,
    logistic_loss,
    mean_squared_error,
    poisson_loss,
    precision_at,
)


def test_ties_count_half() -> None:
    """Quirk: a curve without its origin point gives 0.375 and 0 here."""
    labels = np.array([1.0, 0.0, 1.0, 0.0])
    assert auc(labels, np.array([0.9, 0.9, 0.1, 0.1])) == 0.5
    assert auc(labels, np.zeros(4)) == 0.5


def test_auc_gives_the_values_that_photon_ml_publishes() -> None:
    plain = np.array([1.0, 0, 0, 0, 1, 1, 1]), np.array([-1, -0.1, 0, 1, 2, 6, 8])
    tied = np.array([0.0, 1, 0, 0, 1, 1, 1]), np.array([-0.1, -1, 0, -1, 2, 6, 8])
    assert auc(*plain) == 0.75
    assert auc(*tied) == pytest.approx(0.79166667, abs=1e-8)


def test_one_class_has_no_auc() -> None:
    """Photon ML's evaluator gives NaN too; a 0 or 1 would enter averages unseen."""
    assert np.isnan(auc(np.ones(3), np.arange(3.0)))


def test_auc_and_precision_recall_area_are_those_of_scikit_learn_with_ties() -> None:
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 200).astype(float), rng.integers(0, 15, 200).astype(float)
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert area_under_precision_recall(labels, scores) == pytest.approx(
        average_precision_score(labels, scores), abs=1e-12
    )


def test_losses_by_hand() -> None:
    labels, scores = np.array([1.0, 0.0]), np.array([np.log(3), 0.0])
    assert logistic_loss(labels, scores) == pytest.approx(log_loss(labels, [0.75, 0.5]))
    assert mean_squared_error(labels, np.array([0.5, 0.5])) == 0.25
    assert poisson_loss(np.array([2.0]), np.array([0.0])) == 1.0
    assert logistic_loss(np.array([1.0]), np.array([-800.0])) == 800.0


def test_grouped_metrics_are_the_metric_of_each_group() -> None:
    labels = np.array([1.0, 0.0, 0.0, 1.0, 1.0])
    scores = np.array([0.9, 0.1, 0.8, 0.2, 0.7])
    by_member = grouped(auc, ["a", "a", "b", "b", "c"], labels, scores)
    assert by_member["a"] == 1.0
    assert by_member["b"] == 0.0
    assert np.isnan(by_member["c"])
    best = grouped(precision_at(1), ["a", "a", "b", "b", "c"], labels, scores)
    assert best == {"a": 1.0, "b": 0.0, "c": 1.0}
