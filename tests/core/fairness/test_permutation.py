"""Guards the permutation test: LiFT's published p-values within noise, level, and its traps."""

import numpy as np
import pytest

from tasks.core.errors import CookbookError
from tasks.core.fairness.model_metrics import confusion_matrix, precision_at_k
from tasks.core.fairness.permutation import permutation_test

N_TRIALS = 2000


def _precision_case(rows):
    """Rows are (label, prediction, group letter) as in LiFT's PermutationTestUtilsTest."""
    labels = np.array([r[0] for r in rows], float)
    predictions = np.array([r[1] for r in rows], float)
    male = np.array([r[2] == "M" for r in rows])
    return lambda i: confusion_matrix(labels[i], predictions[i]).precision, male


CASE_1 = [(1, 1, "M"), (1, 0, "M"), (0, 0, "M"), (0, 0, "F"), *[(0, 1, "F")] * 5]
CASE_1 += [(1, 0, "F"), (1, 0, "F"), *[(0, 1, "M")] * 7]
CASE_2 = [(1, 1, "M"), (1, 0, "M"), (0, 0, "M"), (0, 0, "F"), (0, 1, "F"), (1, 1, "F")]
CASE_2 += [(1, 0, "F"), *[(0, 1, "M")] * 3]
CASE_3 = [(1, 1, "M"), (1, 0, "M"), (0, 0, "M"), (0, 1, "F"), (0, 1, "F"), (1, 1, "F")]
CASE_3 += [(0, 1, "F"), *[(0, 1, "M")] * 3]


@pytest.mark.parametrize(
    ("rows", "difference", "p_value", "bootstrap_sd", "permutation_sd"),
    [
        (CASE_1, 0.125, 0.438, 0.1219, 0.1574),
        (CASE_2, -0.25, 0.753, 0.4590, 0.4486),
        (CASE_3, 0.0, 0.788, 0.3280, 0.3334),
    ],
)
def test_p_values_are_lifts_within_noise(rows, difference, p_value, bootstrap_sd, permutation_sd):
    metric, male = _precision_case(rows)
    found = permutation_test(metric, male, n_trials=N_TRIALS, seed=1)
    both = np.sqrt(2 * p_value * (1 - p_value) / N_TRIALS)
    assert found.difference == pytest.approx(difference)
    assert found.p_value == pytest.approx(p_value, abs=3 * both)
    # An sd estimated from 2,000 trials is off by about 1/sqrt(4,000); both sides are estimates.
    assert found.bootstrap_sd == pytest.approx(bootstrap_sd, rel=0.1)
    assert found.permutation_sd == pytest.approx(permutation_sd, rel=0.1)


def test_ranking_p_value_is_lifts_within_noise():
    labels = np.array([0, 1, 0, 1, 1, 0, 0, 0, 0, 1], float)
    ranks = np.array([1, 2, 3, 1, 2, 4, 7, 1, 2, 3])
    queries = np.array([1, 1, 1, 2, 2, 2, 2, 3, 3, 3])
    male = np.array([1, 1, 0, 1, 0, 1, 1, 0, 0, 1], dtype=bool)

    def precision_at_5(i):
        return precision_at_k(labels[i], ranks[i], queries[i], threshold=1, k=5)

    found = permutation_test(precision_at_5, male, n_trials=N_TRIALS, seed=1)
    assert (found.first, found.second) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert found.p_value == pytest.approx(0.317, abs=3 * np.sqrt(2 * 0.317 * 0.683 / N_TRIALS))


def test_p_is_never_zero_and_its_error_is_the_binomial_one():
    """LiFT's p can be exactly 0, which no finite number of shuffles can show."""
    values = np.concatenate([np.zeros(50), np.ones(50)]) + np.tile([0.0, 0.01], 50)
    first = np.arange(100) < 50
    found = permutation_test(lambda i: float(values[i].mean()), first, n_trials=99, seed=0)
    assert found.p_value == pytest.approx(1 / 100)
    assert found.standard_error == pytest.approx(np.sqrt(0.01 * 0.99 / 99))


def test_undefined_shuffles_leave_the_denominator_too():
    """LiFT drops them from the numerator alone, which makes p too small."""
    values = np.random.default_rng(0).normal(size=24)
    values[:12] += 0.2
    calls = {"n": 0}

    def often_undefined(i):
        calls["n"] += 1
        # Calls come in pairs; the first is the observed one, then every second is undefined.
        undefined = ((calls["n"] - 1) // 2) % 2
        return float("nan") if undefined else float(values[i].mean())

    first = np.arange(24) < 12
    plain = permutation_test(lambda i: float(values[i].mean()), first, n_trials=N_TRIALS, seed=0)
    found = permutation_test(often_undefined, first, n_trials=N_TRIALS, seed=0)
    assert found.n_trials < 0.6 * N_TRIALS
    assert found.p_value == pytest.approx(plain.p_value, abs=0.06)


def test_the_test_keeps_its_level_when_groups_do_not_differ():
    rng = np.random.default_rng(3)
    first = np.arange(60) < 30
    rejected = 0
    for trial in range(60):
        values = rng.normal(size=60)
        found = permutation_test(lambda i, v=values: v[i].mean(), first, n_trials=120, seed=trial)
        rejected += found.p_value < 0.2
    # Binomial(60, 0.2): mean 12, sd 3.1.
    assert 12 - 9.3 <= rejected <= 12 + 9.3


def test_the_test_keeps_its_level_when_rows_of_a_cluster_are_alike():
    """A member's group is that of all rows of a query: alone, they would be no evidence each."""
    rng = np.random.default_rng(4)
    query = np.repeat(np.arange(60), 8)
    first, rejected = query < 30, np.zeros(2)
    for trial in range(60):
        values = rng.normal(size=60)[query] + rng.normal(size=len(query))
        for place, clusters in enumerate((query, None)):
            found = permutation_test(
                lambda i, v=values: v[i].mean(), first, clusters=clusters, n_trials=100, seed=trial
            )
            rejected[place] += found.p_value < 0.1
    # Binomial(60, 0.1): mean 6, sd 2.3.
    assert rejected[0] <= 6 + 7
    assert rejected[1] > 20


def test_an_empty_group_is_refused():
    with pytest.raises(CookbookError, match="two groups"):
        permutation_test(lambda i: float(len(i)), np.ones(5, dtype=bool), n_trials=10, seed=0)
