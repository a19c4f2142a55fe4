"""Guards the values of LiFT's end-to-end tests: FairnessMetricsUtilsTest, BenefitMapTest."""

import numpy as np
import pytest

from tasks.core.fairness.distances import (
    demographic_parity,
    equalized_odds,
    expected_confusion_counts,
    kl_divergence,
    skews,
    uniform_reference,
)
from tasks.core.fairness.inequality import theil_l_index, theil_t_index
from tasks.core.fairness.model_metrics import ConfusionMatrix, confusion_matrix
from tasks.core.fairness.permutation import permutation_test

# Twelve predictions: label, prediction, first letter of the group.
ROWS = [(1, 1, "M"), (1, 0, "M"), (0, 0, "M"), (0, 1, "M"), (0, 0, "F"), (1, 1, "F")]
ROWS += [(0, 1, "F"), (0, 1, "F"), (1, 1, "U"), (0, 1, "U"), (0, 1, "U"), (0, 1, "U")]
# Twenty predictions by group: counts of (label, predicted) 00, 01, 10, 11.
TWENTY = {"MALE": (2, 4, 2, 2), "FEMALE": (2, 2, 2, 0), "UNKNOWN": (1, 0, 1, 2)}
SHARES = {("M", 1): 0.3, ("M", 0): 0.2, ("F", 1): 0.1, ("F", 0): 0.2, ("U", 1): 0.1, ("U", 0): 0.1}


@pytest.mark.parametrize(
    ("metric", "pair", "difference", "p_value"),
    [
        ("precision", "MF", 1 / 6, 0.498),
        ("precision", "MU", 0.25, 0.631),
        ("precision", "FU", 1 / 12, 1.0),
        ("recall", "MF", -0.5, 0.444),
        ("recall", "MU", -0.5, 0.417),
        ("recall", "FU", 0.0, 0.426),
    ],
)
def test_permutation_tests_of_twelve_predictions(metric, pair, difference, p_value):
    rows = [row for row in ROWS if row[2] in pair]
    labels, predictions = (np.array([row[i] for row in rows], float) for i in (0, 1))
    read = getattr(ConfusionMatrix, metric).fget
    found = permutation_test(
        lambda i: read(confusion_matrix(labels[i], predictions[i])),
        np.array([row[2] == pair[0] for row in rows]),
        n_trials=2000,
        seed=2,
    )
    # LiFT ran 1,000 shuffles, these are 2,000; with +1 a p of 1 stays 1.
    noise = np.sqrt(p_value * (1 - p_value) * (1 / 1000 + 1 / 2000))
    assert found.difference == pytest.approx(difference)
    assert found.p_value == pytest.approx(p_value, abs=3 * noise + 1e-9)


def _twenty():
    rows = [
        (label, predicted, group)
        for group, counts in TWENTY.items()
        for (label, predicted), n in zip([(0, 0), (0, 1), (1, 0), (1, 1)], counts, strict=True)
        for _ in range(n)
    ]
    return (
        np.array([r[1] for r in rows], float),
        np.array([r[0] for r in rows]),
        np.array([r[2] for r in rows]),
    )


def test_equalized_odds_of_twenty_predictions():
    found = equalized_odds(expected_confusion_counts(*_twenty()))
    assert found[1].gaps == {
        ("FEMALE", "MALE"): pytest.approx(0.5),
        ("FEMALE", "UNKNOWN"): pytest.approx(2 / 3),
        ("MALE", "UNKNOWN"): pytest.approx(1 / 6),
    }
    assert found[0].gaps == {
        ("FEMALE", "MALE"): pytest.approx(1 / 6),
        ("FEMALE", "UNKNOWN"): pytest.approx(0.5),
        ("MALE", "UNKNOWN"): pytest.approx(2 / 3),
    }


def test_demographic_parity_of_a_data_set_given_as_shares():
    found = demographic_parity(SHARES)
    assert found.rates == {
        "F": pytest.approx(1 / 3),
        "M": pytest.approx(0.6),
        "U": pytest.approx(0.5),
    }
    assert found.gaps[("F", "M")] == pytest.approx(4 / 15)


def test_divergence_from_a_uniform_reference_needs_no_quirk():
    # Smoothing leaves a uniform reference uniform, so counts and shares agree here.
    hundred = {category: 100 * share for category, share in SHARES.items()}
    found = kl_divergence(hundred, uniform_reference(hundred))
    assert found == pytest.approx(0.13852315605014068, abs=1e-12)


def test_skews_of_shares_are_the_quirk_that_is_not_copied():
    """LiFT publishes 0.108 for a group twice as frequent as it should be; ln 1.8 is 0.588."""
    smoothed_shares = {category: share + 1.0 for category, share in SHARES.items()}
    published = skews(smoothed_shares, uniform_reference(smoothed_shares), alpha=0.0)
    assert published[("M", 1)] == pytest.approx(0.10821358464023273)
    values = np.array(list(published.values()))
    assert theil_l_index(values) == pytest.approx(0.10948572991373717)
    assert theil_t_index(values) == pytest.approx(0.10611973507347484)
    thousand = {category: 1000 * share for category, share in SHARES.items()}
    ours = skews(thousand, uniform_reference(thousand))
    assert ours[("M", 1)] == pytest.approx(np.log(1.8), abs=0.005)


def test_precision_benefits_of_the_benefit_map_test():
    labels = np.array([1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0], float)
    predictions = np.array([1, 0, 0, 1, 0, 1, 1, 1, 1, 1, 1, 1], float)
    groups = np.repeat(["MALE", "FEMALE", "UNKNOWN"], 4)
    found = {
        name: confusion_matrix(labels[groups == name], predictions[groups == name]).precision
        for name in ("MALE", "FEMALE", "UNKNOWN")
    }
    assert found == {"MALE": 0.5, "FEMALE": 0.0, "UNKNOWN": 0.25}
