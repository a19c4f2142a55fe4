"""Guards the division of the log: a leak here makes every click figure too good."""

import numpy as np
import pytest

from tasks.core.click_splits import USES, Caps, asker_of, assign_uses, cap_uses

N = 20_000
CLICKED = (np.arange(N) % 5 == 0).astype(np.int64)
LISTS = np.array([f"i{row // 10}" for row in range(N)])


@pytest.fixture(scope="module")
def log():
    rng = np.random.default_rng(0)
    members = [f"m{i}" for i in rng.integers(0, 1000, N)]
    times, at_random = rng.uniform(0, 1e6, N), (rng.random(N) < 0.1).astype(np.int64)
    return members, times, at_random


def _uses(log, **change):
    members, timestamps, at_random = log
    return assign_uses(
        members,
        timestamps,
        change.get("at_random", at_random),
        change.get("clicked", CLICKED),
        impression_ids=LISTS,
        held_out_members=0.2,
    )


def test_held_out_and_calibration_members_are_in_no_other_use(log):
    uses, members = _uses(log), np.array(log[0])
    kinds = [
        set(members[np.isin(uses, kind)])
        for kind in (["held_out"], ["calibrate"], ["train", "personalize", "later"])
    ]
    assert not kinds[0] & kinds[1]
    assert not kinds[0] & kinds[2]
    assert not kinds[1] & kinds[2]
    assert all(kinds)


def test_shares_of_members_are_as_asked(log):
    members = np.array(log[0])
    uses = _uses(log, at_random=np.zeros(N, dtype=np.int64))
    assert len(set(members[uses == "held_out"])) == pytest.approx(200, abs=40)
    assert len(set(members[uses == "calibrate"])) == pytest.approx(100, abs=30)


def test_training_comes_before_personalization_before_its_test(log):
    uses, times = _uses(log), log[1]
    assert times[uses == "train"].max() < times[uses == "personalize"].min()
    assert times[uses == "personalize"].max() < times[uses == "later"].min()
    assert (uses == "train").sum() / np.isin(uses, USES[:3]).sum() == pytest.approx(0.4, abs=0.02)


def test_held_out_members_are_measured_in_random_order_where_there_is_any(log):
    uses = _uses(log)
    assert (log[2][uses == "held_out"] == 1).all()
    assert (uses == "").sum() > 0


@pytest.mark.parametrize(("clicks", "alone"), [(19, False), (20, True)])
def test_a_few_lists_in_random_order_do_not_take_away_what_held_out_members_did(log, clicks, alone):
    """One random list, with a click or without, left no other row of theirs to be measured on."""
    everything = _uses(log, at_random=np.zeros(N, dtype=np.int64)) == "held_out"
    clicked = np.zeros(N, dtype=np.int64)
    clicked[np.flatnonzero(everything & (log[2] == 1))[:clicks]] = 1
    measured = _uses(log, clicked=clicked) == "held_out"
    assert np.array_equal(measured, everything & (log[2] == 1) if alone else everything)


def test_without_random_order_every_row_of_a_held_out_member_counts(log):
    uses = _uses(log, at_random=np.zeros(N, dtype=np.int64))
    assert set(uses) == set(USES)


def test_a_member_keeps_its_place_in_another_log(log):
    uses, members = _uses(log, at_random=np.zeros(N, dtype=np.int64)), np.array(log[0])
    half = assign_uses(
        members[: N // 2],
        log[1][: N // 2],
        np.zeros(N // 2),
        CLICKED[: N // 2],
        impression_ids=LISTS[: N // 2],
        held_out_members=0.2,
    )
    before, after = uses == "held_out", half == "held_out"
    assert set(members[: N // 2][after]) == set(members[: N // 2][before[: N // 2]])


@pytest.mark.parametrize("known", [0.0, 0.4])
def test_rows_of_nobody_are_divided_list_by_list(known):
    """They are not one person: as one they would all have one use, and none might train."""
    rng = np.random.default_rng(0)
    names = [f"m{n}" if rng.random() < known else "" for n in rng.integers(0, 1000, N // 10)]
    members, at_random = np.repeat(names, 10), np.repeat(rng.random(N // 10) < 0.1, 10)
    times = np.repeat(rng.uniform(0, 1e6, N // 10), 10)
    uses = _uses((members, times, at_random.astype(np.int64)))
    nobody = uses[members == ""]
    shares = {use: (nobody == use).mean() for use in USES}
    assert shares["train"] == pytest.approx(0.4 * 0.7, abs=0.03)
    assert shares["calibrate"] == pytest.approx(0.1, abs=0.03)
    assert shares["held_out"] == pytest.approx(0.2 * 0.1, abs=0.01)
    assert shares["personalize"] == shares["later"] == 0  # no effect is nobody's
    for number in np.unique(LISTS):
        assert len(set(uses[number == LISTS])) == 1


def test_an_interval_knows_each_list_of_nobody_as_one_of_its_own():
    rows = [{"member_id": m, "impression_id": i} for m, i in [("", "a"), ("", "b"), ("m", "c")]]
    assert len({asker_of(row) for row in rows}) == 3
    assert asker_of({"member_id": "m", "impression_id": "d"}) == asker_of(rows[2])


def _capped(caps, seed=0):
    rng = np.random.default_rng(1)
    lists = np.repeat(np.arange(600), rng.integers(1, 12, 600))
    uses = np.array(USES)[lists % 5]
    keep = cap_uses(uses, [f"i{n}" for n in lists], caps, seed=seed)
    return lists, uses, keep


def test_no_use_is_longer_than_its_cap_nor_much_shorter():
    caps = Caps(train=100, personalize=200, later=50, calibrate=10_000, held_out=11)
    _, uses, keep = _capped(caps)
    for use in USES:
        kept, there = keep[uses == use].sum(), (uses == use).sum()
        assert min(getattr(caps, use), there) - 11 < kept <= min(getattr(caps, use), there)


def test_lists_stay_whole():
    """Half a list would change what a click at a position means."""
    lists, _, keep = _capped(Caps(100, 200, 50, 300, 11))
    assert 0 < keep.sum() < len(keep)
    for number in np.unique(lists):
        assert len(set(keep[lists == number])) == 1


def test_the_seed_chooses_other_lists():
    caps = Caps(100, 100, 100, 100, 100)
    assert np.array_equal(_capped(caps)[2], _capped(caps)[2])
    assert not np.array_equal(_capped(caps)[2], _capped(caps, seed=1)[2])


def test_effects_see_whole_members_and_are_tested_on_the_same():
    """Each member has 10 to 50 rows of each use; drawn by impression, few had all of theirs."""
    rng = np.random.default_rng(2)
    members = np.repeat(np.arange(100), rng.integers(10, 50, 100) * 5)
    uses = np.resize(np.array(USES), len(members))
    lists = [f"i{n // 5}" for n in range(len(members))]
    caps = Caps(train=50, personalize=600, later=700, calibrate=50, held_out=50)
    keep = cap_uses(uses, lists, caps, seed=3, member_ids=members)
    seen = {use: set(members[keep & (uses == use)]) for use in ("personalize", "later")}
    assert seen["personalize"] <= seen["later"]
    for use, drawn in seen.items():
        rows = np.isin(members, list(drawn)) & (uses == use)
        assert keep[rows].all()
        assert getattr(caps, use) - 50 < rows.sum() <= getattr(caps, use)


def test_a_member_with_more_rows_than_the_cap_is_passed_over():
    members = np.array(["all"] * 50 + ["few"] * 5)
    uses = np.full(55, "personalize", dtype="<U12")
    lists = [str(n) for n in range(55)]
    for seed in range(4):
        keep = cap_uses(uses, lists, Caps(9, 9, 9, 9, 9), seed=seed, member_ids=members)
        assert set(members[keep]) == {"few"}


def test_rows_without_a_use_are_left_out():
    uses = np.array(["train", "", "", "train"])
    keep = cap_uses(uses, ["a", "a", "b", "b"], Caps(9, 9, 9, 9, 9), seed=0)
    assert keep.tolist() == [True, False, False, True]
