"""Guards LiFT's position bias estimator: its published answers and its kernel density."""

import numpy as np
import pytest
from scipy.stats import gaussian_kde

from tasks.core.errors import CookbookError
from tasks.core.fairness.position_bias import _density, estimate_position_bias


def _lift_data(seed=0):
    """LiFT's TestValues.positionBiasData: normal scores, 1000/800/600 positives by position."""
    rng = np.random.default_rng(seed)
    sizes = [(1000, 1000, 0.0), (200, 800, 0.0), (100, 600, -0.5)]
    parts = [
        (rng.normal(mean, 1, n), np.full(n, label), np.full(n, position))
        for position, (negative, positive, mean) in enumerate(sizes, start=1)
        for label, n in ((False, negative), (True, positive))
    ]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def test_position_bias_is_lifts_published_one():
    found = estimate_position_bias(*_lift_data(), cutoff=3)
    # LiFT allows .01 on its one seeded draw; densities of another draw vary by about .05.
    assert found.tolist() == pytest.approx([1.0, 0.8, 0.6], abs=0.05)


def test_beyond_the_cutoff_the_bias_stays():
    found = estimate_position_bias(*_lift_data(), cutoff=2)
    assert found[2] == found[1] < 1.0


def test_the_gridded_density_is_scipys():
    rng = np.random.default_rng(1)
    sample, at = rng.normal(size=2000), np.linspace(-2.5, 2.5, 50)
    # scipy scales by the sample's sd with n - 1: hand it the population's.
    factor = 1.06 * 2000**-0.2 * sample.std() / sample.std(ddof=1)
    expected = gaussian_kde(sample, bw_method=factor)(at)
    assert _density(sample, at) == pytest.approx(expected, rel=2e-3)


def test_a_position_without_positives_is_named():
    with pytest.raises(CookbookError, match="lower the cutoff below 2"):
        estimate_position_bias(
            np.arange(4.0), np.array([True, True, False, False]), np.array([1, 1, 2, 2])
        )
