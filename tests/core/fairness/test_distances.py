"""Guards the distances between distributions: LiFT's published answers, laws, and its traps."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from tasks.core.errors import CookbookError
from tasks.core.fairness.distances import (
    demographic_parity,
    equalized_odds,
    expected_confusion_counts,
    expected_counts,
    infinity_norm_distance,
    js_divergence,
    kl_divergence,
    label_counts,
    maximum_skew,
    minimum_skew,
    scaled_to,
    skews,
    summed,
    total_variation_distance,
    uniform_reference,
)

# The distributions of LiFT's DivergenceUtilsTest.
APART_1 = {("MALE", "20"): 24.0, ("FEMALE", "40"): 4.0}
APART_2 = {("FEMALE", "20"): 20.0, ("MALE", "40"): 10.0}
OVERLAP_1 = {("MALE", "20"): 24.0, ("MALE", "40"): 12.0, ("FEMALE", "40"): 4.0}
OVERLAP_2 = {("FEMALE", "20"): 20.0, ("FEMALE", "40"): 5.0, ("MALE", "40"): 10.0}
OVERLAP_3 = {("FEMALE", "20"): 25.0, ("FEMALE", "40"): 5.0, ("MALE", "40"): 10.0}
# The 20 predictions of its FairnessMetricsUtilsTest, counted by (group, predicted).
PREDICTED = {
    ("MALE", 1): 6.0,
    ("MALE", 0): 4.0,
    ("FEMALE", 1): 2.0,
    ("FEMALE", 0): 4.0,
    ("UNKNOWN", 1): 2.0,
    ("UNKNOWN", 0): 2.0,
}


def test_kl_divergence_gives_lifts_closed_forms():
    log2 = np.log2
    assert kl_divergence(APART_1, APART_2) == pytest.approx(
        24 / 28 * log2(24 / 28 * 34) + 4 / 28 * log2(4 / 28 * 34), abs=1e-12
    )
    assert kl_divergence(APART_2, APART_1) == pytest.approx(
        20 / 30 * log2(20 / 30 * 32) + 10 / 30 * log2(10 / 30 * 32), abs=1e-12
    )
    assert kl_divergence(OVERLAP_1, OVERLAP_2) == pytest.approx(
        0.6 * log2(0.6 * 39) + 0.3 * log2(0.3 * 39 / 11) + 0.1 * log2(0.1 * 39 / 6), abs=1e-12
    )


def test_kl_divergence_without_smoothing_is_scipys_entropy():
    p, q = np.array([3.0, 5.0, 2.0]), np.array([1.0, 1.0, 8.0])
    ours = kl_divergence(dict(enumerate(p)), dict(enumerate(q)), alpha=0.0)
    assert ours == pytest.approx(entropy(p, q, base=2))
    assert kl_divergence({"a": 1.0, "b": 1.0}, {"a": 2.0}, alpha=0.0) == np.inf


def test_js_divergence_is_symmetric_and_scipys():
    categories = sorted({*OVERLAP_1, *OVERLAP_2})
    p = [OVERLAP_1.get(c, 0.0) for c in categories]
    q = [OVERLAP_2.get(c, 0.0) for c in categories]
    expected = jensenshannon(p, q, base=2) ** 2
    assert js_divergence(OVERLAP_1, OVERLAP_2) == pytest.approx(expected, abs=1e-12)
    assert js_divergence(OVERLAP_2, OVERLAP_1) == pytest.approx(expected, abs=1e-12)


def test_js_divergence_gives_lifts_closed_forms():
    log2 = np.log2
    # Disjoint supports: every midpoint share is half the share, so each term is one bit.
    assert js_divergence(APART_1, APART_2) == pytest.approx(1.0, abs=1e-12)
    expected = 0.5 * (
        24 / 40
        + 12 / 40 * log2((12 / 40) / (820 / 2800))
        + 4 / 40 * log2((4 / 40) / (340 / 2800))
        + 20 / 35
        + 5 / 35 * log2((5 / 35) / (340 / 2800))
        + 10 / 35 * log2((10 / 35) / (820 / 2800))
    )
    assert js_divergence(OVERLAP_1, OVERLAP_2) == pytest.approx(expected, abs=1e-12)


def test_total_variation_and_infinity_norm_give_lifts_closed_forms():
    assert total_variation_distance(APART_1, APART_2) == pytest.approx(1.0)
    assert infinity_norm_distance(APART_1, APART_2) == pytest.approx(24 / 28)
    assert total_variation_distance(OVERLAP_1, OVERLAP_3) == pytest.approx(0.5 * 52 / 40)
    assert infinity_norm_distance(OVERLAP_3, OVERLAP_1) == pytest.approx(25 / 40)


def test_skews_give_lifts_closed_forms():
    found = skews(APART_1, APART_2)
    assert found[("MALE", "20")] == pytest.approx(np.log(25 * 34 / 32), abs=1e-12)
    assert found[("FEMALE", "40")] == pytest.approx(np.log(5 * 34 / 32), abs=1e-12)
    assert found[("MALE", "40")] == pytest.approx(np.log(34 / 32 / 11), abs=1e-12)
    assert minimum_skew(APART_1, APART_2) == (
        ("FEMALE", "20"),
        pytest.approx(np.log(34 / 32 / 21), abs=1e-12),
    )
    assert maximum_skew(OVERLAP_1, OVERLAP_3) == (("MALE", "20"), pytest.approx(np.log(25.0)))
    assert skews(OVERLAP_1, OVERLAP_3)[("MALE", "40")] == pytest.approx(np.log(13 / 11))


@pytest.mark.parametrize(
    "distance",
    [kl_divergence, js_divergence, total_variation_distance, infinity_norm_distance],
)
def test_a_distance_is_zero_between_equal_shares(distance):
    counts, doubled = {"a": 30.0, "b": 10.0}, {"a": 60.0, "b": 20.0}
    options = {"alpha": 0.0} if distance is kl_divergence else {}
    assert distance(counts, doubled, **options) == pytest.approx(0.0, abs=1e-12)


def test_uniform_reference_gives_lifts_published_model_skews():
    found = skews(PREDICTED, uniform_reference(PREDICTED))
    assert found[("MALE", 1)] == pytest.approx(0.47957308026188605)
    assert found[("MALE", 0)] == pytest.approx(0.1431008436406731)
    assert found[("UNKNOWN", 1)] == pytest.approx(-0.3677247801253174)
    divergence = kl_divergence(PREDICTED, uniform_reference(PREDICTED))
    assert divergence == pytest.approx(0.13852315605014037)


def test_a_reference_of_probabilities_is_refused_rather_than_swamped():
    """Add-one smoothing on probabilities makes any reference near uniform: the skew vanishes."""
    reference = {("MALE", 1): 0.9, ("MALE", 0): 0.1}
    observed = {("MALE", 1): 500.0, ("MALE", 0): 500.0}
    for metric in (skews, kl_divergence):
        with pytest.raises(CookbookError, match="scaled_to"):
            metric(observed, reference)


def test_a_scaled_reference_keeps_its_own_shape():
    observed = {"a": 500.0, "b": 500.0}
    found = skews(observed, scaled_to({"a": 0.9, "b": 0.1}, 1000.0))
    # (501/1002) over (901/1002) and over (101/1002).
    assert found == {"a": pytest.approx(np.log(501 / 901)), "b": pytest.approx(np.log(501 / 101))}
    # What smoothing on the probability scale would have said of b: ln((501/1002)/(1.1/3)).
    assert found["b"] > 5 * np.log(0.5 * 3 / 1.1)


def test_demographic_parity_gives_lifts_published_rates():
    counts = {("MALE", 1): 345.0, ("MALE", 0): 123.0, ("FEMALE", 1): 567.0}
    found = demographic_parity(
        {**counts, ("FEMALE", 0): 89.0, ("UNKNOWN", 1): 25.0, ("UNKNOWN", 0): 70.0}
    )
    rates = {"MALE": 0.73718, "FEMALE": 0.86433, "UNKNOWN": 0.26316}
    assert {g: round(r, 5) for g, r in found.rates.items()} == rates
    assert {pair: round(gap, 5) for pair, gap in found.gaps.items()} == {
        ("FEMALE", "MALE"): 0.12715,
        ("FEMALE", "UNKNOWN"): 0.60117,
        ("MALE", "UNKNOWN"): 0.47402,
    }


def test_a_gap_below_five_digits_is_not_rounded_away():
    found = demographic_parity(
        {("a", 1): 1.0, ("a", 0): 999_999.0, ("b", 1): 3.0, ("b", 0): 999_997.0}
    )
    assert found.gaps[("a", "b")] == pytest.approx(2e-6)


def test_equalized_odds_gives_lifts_published_gaps():
    table = {"MALE": (345, 145, 123, 23), "FEMALE": (567, 367, 89, 49), "UNKNOWN": (25, 35, 70, 20)}
    counts = {
        (group, label, predicted): float(row[2 * (1 - label) + predicted])
        for group, row in table.items()
        for label in (0, 1)
        for predicted in (0, 1)
    }
    found = equalized_odds(counts)
    # Within 1e-5 of the published gaps, which subtract rates already rounded to five digits.
    published = {
        (1, "FEMALE", "UNKNOWN"): 0.1904,
        (1, "FEMALE", "MALE"): 0.09701,
        (1, "MALE", "UNKNOWN"): 0.28741,
        (0, "MALE", "UNKNOWN"): 0.06469,
        (0, "FEMALE", "UNKNOWN"): 0.13285,
        (0, "FEMALE", "MALE"): 0.19754,
    }
    ours = {(y, *pair): gap for y, gaps in found.items() for pair, gap in gaps.gaps.items()}
    assert ours == {key: pytest.approx(gap, abs=1e-5) for key, gap in published.items()}
    assert ours[(1, "FEMALE", "MALE")] == pytest.approx(367 / 934 - 145 / 490)
    assert found[1].rates["UNKNOWN"] == pytest.approx(35 / 60)


def test_expected_counts_are_lifts_generalized_counts():
    # LiFT's TestValues.testData2.
    labels = np.array([0, 1, 0, 0, 1, 0, 1, 1, 0, 0])
    scores = np.array([0.3, 0.4, 0.8, 0.1, 0.7, 0.6, 0.9, 0.3, 0.2, 0.8])
    groups = np.array(["MALE"] * 5 + ["UNKNOWN"] + ["FEMALE"] * 4)
    found = expected_confusion_counts(scores, labels, groups)
    published = {
        ("MALE", 1, 1): 1.1,
        ("MALE", 1, 0): 0.9,
        ("MALE", 0, 1): 1.2,
        ("MALE", 0, 0): 1.8,
        ("FEMALE", 1, 1): 1.2,
        ("FEMALE", 1, 0): 0.8,
        ("FEMALE", 0, 1): 1.0,
        ("FEMALE", 0, 0): 1.0,
        ("UNKNOWN", 0, 1): 0.6,
        ("UNKNOWN", 0, 0): 0.4,
    }
    assert found == {key: pytest.approx(value) for key, value in published.items()}
    assert expected_counts(scores, groups)[("MALE", 1)] == pytest.approx(2.3)


def test_label_counts_keep_grades_apart():
    groups = np.array(["f", "m", "f", "f"])
    counts = label_counts(np.array([2, 0, 2, 1]), groups)
    assert counts == {("f", 2): 2.0, ("f", 1): 1.0, ("m", 0): 1.0}


def test_a_group_without_rows_is_refused():
    with pytest.raises(CookbookError, match="no rows"):
        demographic_parity({("a", 1): 0.0, ("a", 0): 0.0})


@pytest.mark.parametrize("bad", [{"a": -1.0, "b": 2.0}, {"a": float("nan")}, {"a": 0.0}, {}])
def test_a_distribution_that_is_none_is_refused(bad):
    with pytest.raises(CookbookError, match="finite counts"):
        total_variation_distance(bad, {"a": 1.0})


def test_counts_of_shards_add_up_to_those_of_the_whole():
    rng = np.random.default_rng(0)
    labels, groups = rng.integers(0, 5, 900), rng.choice(np.array(["a", "b", "c"]), 900)
    parts = [label_counts(labels[i::7], groups[i::7]) for i in range(7)]
    assert summed(parts) == label_counts(labels, groups)
