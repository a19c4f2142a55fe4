"""A loss on one kind of query is seen, and chance alone is not taken for one."""

from itertools import chain

import numpy as np
import pytest
from scipy.stats import norm

from flows.profiles import smoke
from tasks.core.promotion import SIGNIFICANCE
from tasks.core.query_slices import LEAST_QUERIES, WORDS, query_slices, slice_gains
from tasks.promotion_settings import PromotionSettings


def _row(query_id, query, member_id=""):
    return {"query_id": query_id, "query": query, "member_id": member_id}


def test_queries_are_sliced_by_length_and_by_who_asks():
    rows = [
        _row("a", "nurse", "m1"),
        _row("b", "night shift nurse in Lisbon"),
        _row("c", "a b c d e f", "m2"),
        _row("c", "a b c d e f", "m2"),
    ]
    assert query_slices(rows) == {
        "asked by a member": {"a", "c"},
        "asked by nobody known": {"b"},
        "of 1 to 3 words": {"a"},
        "of 4 or 5 words": {"b"},
        "of 6 words or more": {"c"},
    }


def test_a_slice_of_all_queries_is_no_slice():
    rows = [_row("a", "nurse", "m1"), _row("b", "night shift nurse in Lisbon", "m2")]
    assert set(query_slices(rows)) == {"of 1 to 3 words", "of 4 or 5 words"}


def test_a_slice_of_fewer_than_eight_queries_is_shown_and_neither_tested_nor_counted_by_holm():
    values = np.random.default_rng(3).normal(0.0, 0.1, size=15)
    differences = {f"{number:02d}": value for number, value in enumerate(values)}
    slices = {"large": set(sorted(differences)[:8]), "small": set(sorted(differences)[8:])}
    large, small = slice_gains(differences, slices | {"unknown": {"99"}}, margin=0.05)
    assert (large.name, small.name) == ("large", "small")
    alone = slice_gains(differences, {"large": slices["large"]}, margin=0.05)[0]
    assert large.p_value == alone.p_value
    assert small.p_value is None
    assert small.gain.value == pytest.approx(values[8:].mean())
    assert small.gain.n == 7


def test_the_p_value_is_that_of_a_one_sided_test_of_the_mean():
    """By the central limit: P(mean <= -margin) where the mean is normal around its estimate."""
    values = np.random.default_rng(0).normal(0.01, 0.1, size=400)
    differences = {f"{number:03d}": value for number, value in enumerate(values)}
    (one,) = slice_gains(differences, {"all": set(differences)}, margin=0.0, n_resamples=20_000)
    expected = norm.cdf(0, loc=values.mean(), scale=values.std() / 20)
    assert one.p_value == pytest.approx(expected, abs=0.01)
    assert one.gain.value == pytest.approx(values.mean())


def test_more_slices_ask_for_more_evidence():
    """Holm: of two slices with the same raw p-value, each is multiplied by two."""
    values = np.random.default_rng(1).normal(-0.02, 0.1, size=60)
    differences = {f"{kind}{number:02d}": v for kind in "ab" for number, v in enumerate(values)}
    both = {kind: {name for name in differences if name[0] == kind} for kind in "ab"}
    alone = slice_gains(differences, {"a": both["a"]}, margin=0.05)[0].p_value
    assert 0.001 < alone < 0.2
    together = slice_gains(differences, both, margin=0.05)
    assert [one.p_value for one in together] == pytest.approx([2 * alone] * 2)


def test_a_candidate_that_loses_the_margin_in_a_slice_is_let_through_once_in_forty():
    rng = np.random.default_rng(2)
    passed = [
        slice_gains(
            dict(zip(map(str, range(80)), rng.normal(-0.05, 0.1, 80), strict=True)),
            {"all": set(map(str, range(80)))},
            margin=0.05,
            n_resamples=300,
        )[0].p_value
        <= 0.025
        for _ in range(400)
    ]
    assert 0.005 < np.mean(passed) < 0.06


def _least_resamples():
    return PromotionSettings.model_json_schema()["properties"]["n_resamples"]["minimum"]


def _every_slice():
    """Queries of each length, half of them asked by a member: as many as a test takes."""
    asked = [
        _row(f"{words} {number}", "word " * words, "m1" if number % 2 else "")
        for _, words, _ in (*WORDS[:2], (6, 6, ""))
        for number in range(LEAST_QUERIES)
    ]
    return query_slices(asked)


@pytest.mark.parametrize("n_resamples", [_least_resamples(), smoke().promotion.n_resamples])
def test_a_candidate_that_changes_no_query_passes_with_the_fewest_resamples_allowed(n_resamples):
    slices = _every_slice()
    assert len(slices) == len(WORDS) + 2
    level = dict.fromkeys(chain.from_iterable(slices.values()), 0.0)
    found = slice_gains(level, slices, margin=0.05, n_resamples=n_resamples)
    assert all(one.p_value <= SIGNIFICANCE for one in found)


def test_the_smallest_profile_refuses_no_loss():
    """Its tiny models rank by chance: a later one may lose on every kind of query."""
    slices, settings = _every_slice(), smoke().promotion
    lost = dict.fromkeys(chain.from_iterable(slices.values()), -0.6)
    found = slice_gains(
        lost, slices, margin=settings.margin_slice_ndcg, n_resamples=settings.n_resamples
    )
    assert all(one.p_value <= SIGNIFICANCE for one in found)
    assert settings.margin_ndcg == settings.margin_click_auc == 1
