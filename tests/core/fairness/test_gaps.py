"""Guards how a gap is summed up: percentiles, a t-test, no number where there is none."""

import numpy as np
import pytest
from scipy.stats import t as student_t

from tasks.core.fairness.gaps import GapDraws, GroupMetric, correct_p_values, summarize


def test_the_interval_holds_the_middle_95_percent_of_the_resamples():
    found = summarize(GapDraws("t", "auc", "g: a - b", 0.5, np.arange(1001) / 1000, 30))
    assert (found.low, found.high) == (pytest.approx(0.025), pytest.approx(0.975))


def test_p_is_a_t_test_with_the_clusters_of_the_smaller_group():
    draws = np.random.default_rng(0).normal(0.3, 0.15, 400)
    found = summarize(GapDraws("t", "auc", "g: a - b", 0.3, draws, 20))
    assert found.p_value == pytest.approx(2 * student_t.sf(0.3 / draws.std(ddof=1), df=19))
    # Half of it with a normal's thin tails.
    assert found.p_value > 1.3 * 2 * student_t.sf(0.3 / draws.std(ddof=1), df=10**6)


def test_a_gap_that_too_many_resamples_lose_has_no_number():
    draws = np.where(np.arange(100) < 15, np.nan, np.random.default_rng(1).normal(size=100))
    found = summarize(GapDraws("t", "auc", "g: a - b", 0.3, draws, 20))
    assert found == GroupMetric("t", "auc", "g: a - b", None, None, None, None)


def test_a_gap_that_never_varies_gets_no_p_below_its_resolution():
    draws = GapDraws("t", "recall", "g: a - b", 0.5, np.full(99, 0.5), 30)
    assert summarize(draws).p_value == pytest.approx(0.01)
    assert summarize(GapDraws("t", "recall", "g: a - b", 0.0, np.zeros(99), 30)).p_value == 1.0


def test_correction_passes_over_rows_without_a_p():
    def row(p):
        return GroupMetric("t", "auc", "g: a - b", p, p, p, p)

    found = correct_p_values([row(0.01), row(None), row(0.04)])
    assert [r.p_value for r in found] == [0.02, None, 0.04]
