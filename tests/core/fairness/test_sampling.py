"""Guards the sampling of rows and lists."""

import numpy as np
import pytest

from tasks.core.fairness.sampling import class_shares, sample_lists, sample_rows


def test_rates_are_lifts_published_ones():
    assert class_shares(4, 6, 5) == (0.5, 0.5)
    assert class_shares(4, 6, 5, negative_share=0.8) == pytest.approx((0.25, 2 / 3))
    assert class_shares(4, 6, 100) == (1.0, 1.0)


def test_a_sample_has_the_size_and_share_asked_for():
    positive = np.arange(50_000) % 10 == 0
    kept = sample_rows(positive, 5000, negative_share=0.6, seed=0)
    # Binomial noise of 5,000 rows: sd under 70.
    assert kept.sum() == pytest.approx(5000, abs=280)
    assert (kept & ~positive).sum() / kept.sum() == pytest.approx(0.6, abs=0.03)


def test_a_sample_without_a_share_keeps_the_proportion():
    positive = np.arange(50_000) % 10 == 0
    kept = sample_rows(positive, 5000, seed=1)
    assert (kept & positive).sum() / kept.sum() == pytest.approx(0.1, abs=0.02)


def test_lists_are_kept_or_left_out_whole():
    queries = np.repeat(np.arange(2000), 7)
    kept = sample_lists(queries, 3500, seed=0)
    assert set(np.bincount(queries[kept], minlength=2000).tolist()) == {0, 7}
    assert kept.sum() == pytest.approx(3500, abs=7 * 80)
