"""Kappa against scikit-learn and hand arithmetic; intervals that respect queries."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from tasks.core.labeling.agreement import (
    confusion_matrix,
    human_kappa,
    kappa_interval,
    weighted_kappa,
)


def noisy_grades(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    human = generator.integers(0, 4, n)
    judge = np.clip(human + generator.integers(-1, 2, n), 0, 3)
    return human, judge


@pytest.mark.parametrize("seed", range(5))
def test_weighted_kappa_equals_scikit_learn(seed: int) -> None:
    human, judge = noisy_grades(300, seed)
    expected = cohen_kappa_score(human, judge, labels=[0, 1, 2, 3], weights="quadratic")
    assert weighted_kappa(human, judge, 4) == pytest.approx(expected, abs=1e-12)


def test_weighted_kappa_of_three_pairs_by_hand() -> None:
    # Observed: mean of 0, 0, 1 = 1/3. Expected: E a^2 + E b^2 - 2 E a E b
    # = 5/3 + 2/3 - 2 * 1 * 2/3 = 1. Hence 1 - 1/3.
    assert weighted_kappa([0, 1, 2], [0, 1, 1], 3) == pytest.approx(2 / 3)


def test_kappa_is_one_at_equality() -> None:
    assert weighted_kappa([0, 1, 2, 3], [0, 1, 2, 3], 4) == 1.0


def test_a_far_miss_costs_more_than_a_near_one() -> None:
    human = [0, 1, 2, 3, 3]
    assert weighted_kappa(human, [0, 1, 2, 3, 2], 4) > weighted_kappa(human, [0, 1, 2, 3, 0], 4)


def test_one_grade_throughout_has_no_kappa() -> None:
    """A judge that always says 2 on pairs all graded 2 must not pass a gate as perfect."""
    assert np.isnan(weighted_kappa([2, 2, 2], [2, 2, 2], 4))


def test_grade_off_the_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="0 to 3"):
        weighted_kappa([0, 4], [0, 1], 4)


def test_human_kappa_of_two_raters_is_their_kappa() -> None:
    a, b = noisy_grades(200, 7)
    expected = cohen_kappa_score(a, b, weights="quadratic")
    assert human_kappa(np.stack([a, b], axis=1)) == pytest.approx(expected)


def test_human_kappa_averages_each_rater_against_the_median_of_the_others() -> None:
    generator = np.random.default_rng(3)
    truth = generator.integers(0, 4, 400)
    raters = [np.clip(truth + generator.integers(-1, 2, 400), 0, 3) for _ in range(4)]
    table = np.stack(raters, axis=1)
    # Of four raters three others remain: their median is a grade, and scikit-learn can check.
    expected = [
        cohen_kappa_score(
            table[:, rater],
            np.median(np.delete(table, rater, axis=1), axis=1).astype(int),
            weights="quadratic",
        )
        for rater in range(4)
    ]
    assert human_kappa(table) == pytest.approx(np.mean(expected))


def test_human_kappa_skips_pairs_that_a_rater_did_not_grade() -> None:
    a, b = noisy_grades(100, 9)
    table = np.stack([a, b], axis=1).astype(float)
    holes = np.vstack([table, [[1.0, np.nan], [np.nan, 2.0]]])
    assert human_kappa(holes) == pytest.approx(human_kappa(table))


def test_one_rater_has_no_human_kappa() -> None:
    assert human_kappa(np.array([[1.0], [2.0]])) is None


def test_confusion_matrix_has_human_rows() -> None:
    # Two pairs a person graded 0 and the judge 2: row 0, column 2.
    assert confusion_matrix([0, 0, 1], [2, 2, 1], 3).tolist() == [[0, 0, 2], [0, 1, 0], [0, 0, 0]]


def test_interval_brackets_the_value_with_queries_counted() -> None:
    human, judge = noisy_grades(400, 1)
    interval = kappa_interval(human, judge, np.arange(400) // 10, 4)
    assert interval.low < interval.value < interval.high
    assert interval.n == 40


def test_interval_by_query_is_wider_when_queries_stand_or_fall_together() -> None:
    generator = np.random.default_rng(5)
    human = generator.integers(0, 4, 600)
    queries = np.arange(600) // 20
    wrong_queries = generator.permutation(30)[:10]
    judge = np.where(np.isin(queries, wrong_queries), 3 - human, human)
    by_query = kappa_interval(human, judge, queries, 4)
    by_pair = kappa_interval(human, judge, np.arange(600), 4)
    assert by_query.high - by_query.low > 2 * (by_pair.high - by_pair.low)


def test_interval_is_the_same_for_the_same_seed() -> None:
    human, judge = noisy_grades(100, 2)
    queries = np.arange(100) // 5
    assert kappa_interval(human, judge, queries, 4, seed=4) == kappa_interval(
        human, judge, queries, 4, seed=4
    )
