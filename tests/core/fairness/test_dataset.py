"""Guards the measures on labels and clicks before training."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from tasks.core.fairness.dataset import dataset_fairness

# 100 rows each: women graded 0 x 60, 1 x 30, 3 x 10; men 0 x 30, 1 x 30, 3 x 40.
LABELS = np.repeat([0.0, 1, 3, 0, 1, 3], [60, 30, 10, 30, 30, 40])
GROUPS = [{"gender": "female"}] * 100 + [{"gender": "male"}] * 100


def _rows(**options):
    return {(r.name, r.group_pair): r.value for r in dataset_fairness(LABELS, GROUPS, **options)}


def test_distances_compare_the_label_shares_of_two_groups():
    found, pair = _rows(), "gender: female - male"
    assert found[("grade total_variation_distance", pair)] == pytest.approx(0.3)
    assert found[("grade infinity_norm_distance", pair)] == pytest.approx(0.3)
    expected = jensenshannon([60, 30, 10], [30, 30, 40], base=2) ** 2
    assert found[("grade js_divergence", pair)] == pytest.approx(expected)
    # Smoothed by one count a grade: 31/103, 31/103 and 41/103.
    kl = 0.6 * np.log2(0.6 * 103 / 31) + 0.3 * np.log2(0.3 * 103 / 31) + 0.1 * np.log2(10.3 / 41)
    assert found[("grade kl_divergence", pair)] == pytest.approx(kl)


def test_demographic_parity_is_signed_and_counts_from_the_positive_grade():
    pair = "gender: female - male"
    assert _rows()[("grade demographic_parity", pair)] == pytest.approx(0.4 - 0.7)
    strict = _rows(positive_from=2.0)
    assert strict[("grade demographic_parity", pair)] == pytest.approx(0.1 - 0.4)


def test_skews_point_at_the_group_and_label_that_meet_too_often():
    found = _rows()
    # Grade 3: 50 of 200 rows, so 25 for each group were they independent; women have 10.
    assert found[("grade minimum_skew", "gender: female, 3")] == pytest.approx(np.log(11 / 26))
    assert found[("grade maximum_skew", "gender: male, 3")] == pytest.approx(np.log(41 / 26))


def test_inequality_is_taken_over_the_positive_rates():
    # Rates .4 and .7: mean .55, population sd .15.
    found = _rows()[("grade coefficient_of_variation", "gender: all groups")]
    assert found == pytest.approx(0.15 / 0.55)


def test_names_start_with_what_was_measured():
    assert {name.split()[0] for name, _ in _rows(target="clicked")} == {"clicked"}


def test_a_group_of_few_rows_is_not_compared():
    groups = [*GROUPS[:-10], *[{"gender": "other"}] * 10]
    pairs = {row.group_pair for row in dataset_fairness(LABELS, groups)}
    assert not any("other" in pair for pair in pairs)
    assert dataset_fairness(LABELS[:150], GROUPS[:150], minimum_rows=60) == []


def test_a_log_without_clicks_has_no_inequality_but_keeps_its_zero_gap():
    found = {r.name: r.value for r in dataset_fairness(np.zeros(200), GROUPS)}
    assert found["grade demographic_parity"] == 0.0
    assert "grade theil_t_index" not in found
