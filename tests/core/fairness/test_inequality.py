"""Guards the inequality indexes: LiFT's published answers, equality, and unknown names."""

import numpy as np
import pytest

from tasks.core.errors import CookbookError
from tasks.core.fairness.inequality import (
    atkinson_index,
    coefficient_of_variation,
    generalized_entropy_index,
    inequality,
    theil_l_index,
    theil_t_index,
)

BENEFITS = np.array([0.9, 0.75, 0.6])
EQUAL = np.array([0.9, 0.9, 0.9])


def test_generalized_entropy_gives_lifts_published_values():
    assert generalized_entropy_index(BENEFITS, 2.0) == pytest.approx(0.04 / 3, abs=1e-12)
    assert generalized_entropy_index(BENEFITS, 0.5) == pytest.approx(
        0.013503591986335994, abs=1e-15
    )
    assert generalized_entropy_index(BENEFITS, 1.0) == theil_t_index(BENEFITS)
    assert generalized_entropy_index(BENEFITS, 0.0) == theil_l_index(BENEFITS)


def test_theil_indexes_give_lifts_published_values():
    assert theil_t_index(BENEFITS) == pytest.approx(0.013423675700459214, abs=1e-15)
    assert theil_l_index(BENEFITS) == pytest.approx(0.013607331506751752, abs=1e-15)


def test_atkinson_gives_lifts_closed_forms():
    assert atkinson_index(BENEFITS, 1.0) == pytest.approx(
        1 - np.exp(-theil_l_index(BENEFITS)), abs=1e-12
    )
    assert atkinson_index(BENEFITS, 0.0) == pytest.approx(0.0, abs=1e-12)
    assert atkinson_index(BENEFITS, 0.5) == pytest.approx(
        1 - (np.sqrt(1.2) + np.sqrt(0.8) + 1) ** 2 / 9, abs=1e-12
    )


def test_coefficient_of_variation_is_population_sd_over_mean():
    assert coefficient_of_variation(BENEFITS) == pytest.approx(np.sqrt(0.015) / 0.75, abs=1e-12)


@pytest.mark.parametrize("alpha", [-1.0, 0.0, 0.5, 1.0, 2.0])
def test_equal_benefits_have_no_inequality(alpha):
    assert generalized_entropy_index(EQUAL, alpha) == pytest.approx(0.0, abs=1e-12)
    assert atkinson_index(EQUAL, 1.0 - alpha) == pytest.approx(0.0, abs=1e-12)
    assert coefficient_of_variation(EQUAL) == pytest.approx(0.0, abs=1e-12)


def test_theil_of_skews_takes_absolute_values_as_lift_publishes():
    # LiFT's FairnessMetricsUtilsTest: the skews of its 20 predictions.
    skews = np.array([-0.3677247801253174] * 3 + [0.47957308026188605] + [0.1431008436406731] * 2)
    assert theil_l_index(skews) == pytest.approx(0.10437214313750444, abs=1e-12)
    assert theil_t_index(skews) == pytest.approx(0.08957922977452398, abs=1e-12)


def test_a_group_with_no_benefit_counts_by_the_limit():
    # x = 2 and 0: mean of 2 ln 2 and 0.
    assert theil_t_index(np.array([1.0, 0.0])) == pytest.approx(np.log(2))
    assert theil_l_index(np.array([1.0, 0.0])) == np.inf
    assert atkinson_index(np.array([1.0, 0.0]), 1.0) == 1.0


def test_an_index_is_found_by_its_name():
    assert inequality("atkinson_index", BENEFITS, parameter=0.5) == atkinson_index(BENEFITS, 0.5)
    assert inequality("theil_t_index", BENEFITS) == theil_t_index(BENEFITS)


@pytest.mark.parametrize(
    ("name", "parameter"),
    [("ATKINSONS_INDEX", 0.5), ("atkinson_index", None), ("theil_t_index", 2.0)],
)
def test_a_misspelled_index_does_not_vanish(name, parameter):
    """LiFT's README says ATKINSONS_INDEX, its code drops that name without a word."""
    with pytest.raises(CookbookError, match="atkinson_index with a parameter"):
        inequality(name, BENEFITS, parameter=parameter)


@pytest.mark.parametrize("benefits", [np.array([]), np.array([np.nan, 1.0]), np.array([-1.0, 1.0])])
def test_benefits_without_a_finite_mean_are_refused(benefits):
    with pytest.raises(CookbookError, match="leave out groups"):
        coefficient_of_variation(benefits)


def test_benefits_of_both_signs_are_refused():
    with pytest.raises(CookbookError, match="one sign"):
        generalized_entropy_index(np.array([-1.0, 3.0]), 0.5)
