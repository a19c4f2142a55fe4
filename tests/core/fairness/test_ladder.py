"""Guards the comparison of tiers: a gap that grew is found, one that was inherited is not."""

import numpy as np
import pytest

from tasks.core.errors import CookbookError
from tasks.core.fairness.gaps import GapDraws
from tasks.core.fairness.groups import gap_draws
from tasks.core.fairness.ladder import gap_growth, grown_gaps

RNG = np.random.default_rng(0)
MEMBER = np.repeat(np.arange(150), 12)
WOMAN = (MEMBER % 2 == 0).astype(float)
GROUPS = [{"gender": "female" if w else "male"} for w in WOMAN]
TEACHER = RNG.beta(2, 2, len(MEMBER)) * (1 - 0.1 * WOMAN)
LABELS = (RNG.random(len(MEMBER)) < TEACHER).astype(float)


def _draws(tier, scores, **options):
    names = ["demographic_parity", "auc"]
    return gap_draws(
        tier,
        np.clip(scores, 0, 1),
        LABELS,
        GROUPS,
        MEMBER,
        metrics=names,
        n_resamples=300,
        **options,
    )


def _noisy(scores, seed):
    return scores + 0.05 * np.random.default_rng(seed).normal(size=len(scores))


def test_a_gap_that_a_tier_grew_is_found():
    draws = {
        "teacher": _draws("teacher", TEACHER),
        "student": _draws("student", _noisy(TEACHER, 1) * (1 - 0.06 * WOMAN)),
    }
    (found,) = grown_gaps(draws, {"student": "teacher"})
    assert (found.tier, found.teacher) == ("student", "teacher")
    assert (found.name, found.group_pair) == ("demographic_parity", "gender: female - male")
    assert found.teacher_gap == pytest.approx(-0.05, abs=0.02)
    # Women's mean score is .45, and 6% of it went.
    assert found.low <= -0.06 * 0.45 <= found.high
    assert found.change == pytest.approx(found.tier_gap - found.teacher_gap)


def test_an_inherited_gap_is_not_a_finding():
    draws = {
        "teacher": _draws("teacher", TEACHER),
        "student": _draws("student", _noisy(TEACHER, 2)),
    }
    assert grown_gaps(draws, {"student": "teacher"}) == []
    (parity, _) = gap_growth(draws, {"student": "teacher"})
    # The gap itself is there, and far wider than the change could be.
    assert abs(parity.teacher_gap) > 3 * abs(parity.change)


def test_a_gap_that_shrank_is_not_a_finding():
    fairer = _noisy(TEACHER, 3) / (1 - 0.1 * WOMAN)
    draws = {"teacher": _draws("teacher", TEACHER), "student": _draws("student", fairer)}
    (parity, _) = gap_growth(draws, {"student": "teacher"})
    assert parity.p_value < 0.01
    assert not parity.wider
    assert "demographic_parity" not in {g.name for g in grown_gaps(draws, {"student": "teacher"})}


def test_paired_resamples_make_the_change_sharper_than_either_gap():
    teacher, student = _draws("teacher", TEACHER), _draws("student", _noisy(TEACHER, 4))
    (parity, _) = gap_growth({"t": teacher, "s": student}, {"s": "t"})
    alone = np.subtract(*np.percentile(teacher[0].draws, [97.5, 2.5]))
    assert parity.high - parity.low < 0.5 * alone


def test_findings_come_widest_first_over_several_tiers():
    draws = {
        "teacher": _draws("teacher", TEACHER),
        "assistant": _draws("assistant", TEACHER * (1 - 0.05 * WOMAN)),
        "student": _draws("student", TEACHER * (1 - 0.2 * WOMAN)),
    }
    found = grown_gaps(draws, {"assistant": "teacher", "student": "assistant"})
    parity = [g.tier for g in found if g.name == "demographic_parity"]
    assert parity == ["student", "assistant"]


def test_a_gap_without_a_value_is_left_out():
    defined = GapDraws("t", "auc", "g: a - b", 0.1, RNG.normal(0.1, 0.01, 99), 30)
    undefined = GapDraws("s", "auc", "g: a - b", float("nan"), np.full(99, np.nan), 30)
    assert gap_growth({"t": [defined], "s": [undefined]}, {"s": "t"}) == []


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({}, "no gaps were measured"),
        ({"s": []}, "different groups"),
        ({"s": [GapDraws("s", "auc", "g: a - b", 0.1, np.ones(5), 30)]}, "5 resamples"),
    ],
)
def test_tiers_measured_differently_are_refused(other, message):
    teacher = [GapDraws("t", "auc", "g: a - b", 0.1, np.ones(99), 30)]
    with pytest.raises(CookbookError, match=message):
        gap_growth({"t": teacher, **other}, {"s": "t"})
