"""Guards the corrections for many tests: hand arithmetic and scipy."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from tasks.core.fairness.multiple_tests import corrected


def test_holm_multiplies_the_smallest_by_all_and_never_falls():
    # .01 x 3, then .03 x 2, then .04 x 1 = .04, lifted to the .06 before it.
    found = corrected(np.array([0.01, 0.04, 0.03]), method="holm")
    assert found.tolist() == pytest.approx([0.03, 0.06, 0.06])


def test_benjamini_hochberg_is_scipys():
    p = np.random.default_rng(0).random(40) ** 2
    found = corrected(p, method="benjamini_hochberg")
    assert found.tolist() == pytest.approx(false_discovery_control(p).tolist())


def test_a_corrected_p_stays_a_probability():
    assert corrected(np.array([0.6, 0.7]), method="holm").tolist() == [1.0, 1.0]


def test_holm_keeps_the_chance_of_any_false_alarm():
    p = np.random.default_rng(1).random((4000, 30))
    plain = (p.min(1) < 0.05).mean()
    held = np.mean([corrected(row).min() < 0.05 for row in p])
    assert plain > 0.7
    assert held == pytest.approx(0.05, abs=0.012)
