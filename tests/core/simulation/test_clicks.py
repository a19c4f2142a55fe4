"""The click log keeps the laws it was built from, and the planted shares can be counted in it."""

import numpy as np
import pytest

from tasks.core.simulation import clicks
from tasks.core.simulation.world import World


def human(world: World) -> np.ndarray:
    lists = world.log.lists
    return ~lists.bot & (lists.repeat_of < 0)


def test_examination_starts_at_one_and_halves_by_position_four() -> None:
    examined = clicks.examination()
    assert examined[0] == 1.0
    assert examined[3] == pytest.approx(0.5)
    assert (np.diff(examined) < 0).all()


def test_examination_is_recovered_from_clicks_over_attraction(world: World) -> None:
    """E[clicks at k] = examination(k) * sum of attraction at k: within four standard errors."""
    rows = human(world)
    expected = world.log.actions.attraction[rows].sum(axis=0) * clicks.examination()
    counted = world.log.actions.clicked[rows].sum(axis=0)
    assert (np.abs(counted - expected) < 4 * np.sqrt(expected)).all()


def test_random_lists_have_no_better_jobs_on_top(world: World) -> None:
    rows = human(world) & world.log.lists.at_random
    grade = world.log.grade[rows]
    top, bottom = grade[:, :5].mean(), grade[:, 5:].mean()
    error = grade.std() * np.sqrt(2 / (5 * len(grade)))
    assert abs(top - bottom) < 4 * error


def test_shares_of_random_bot_and_repeated_lists_are_the_planted_ones(world: World) -> None:
    lists = world.log.lists
    count = len(lists.query)
    assert np.mean(lists.at_random) == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / count))
    assert np.mean(lists.bot) == pytest.approx(clicks.BOT_SHARE, abs=0.004)
    assert np.mean(lists.repeat_of >= 0) == pytest.approx(clicks.REPEAT_SHARE, abs=0.004)


def test_repeated_list_shows_the_same_jobs_to_the_same_query_minutes_later(world: World) -> None:
    lists, clicked = world.log.lists, world.log.actions.clicked
    again = np.flatnonzero(lists.repeat_of >= 0)
    source = lists.repeat_of[again]
    assert (lists.jobs[again] == lists.jobs[source]).all()
    assert (lists.query[again] == lists.query[source]).all()
    delay = lists.second[again] - lists.second[source]
    assert ((delay >= 60) & (delay < 600)).all()
    assert not (clicked[again] & ~clicked[source]).any()


def test_later_actions_follow_clicks_and_are_rarer(world: World) -> None:
    done = world.log.actions
    assert not (done.saved & ~done.clicked).any()
    assert not (done.applied & ~done.clicked).any()
    assert 0 < done.applied.sum() < done.saved.sum() < done.clicked.sum() / 2


def test_bots_click_nearly_everything(world: World) -> None:
    assert world.log.actions.clicked[world.log.lists.bot].mean() > 0.85


def test_lists_show_ten_different_jobs_in_order_of_time(world: World) -> None:
    lists = world.log.lists
    assert all(len(set(row)) == clicks.POSITIONS for row in lists.jobs.tolist())
    assert (np.diff(lists.second) >= 0).all()


def test_planted_click_disparity_is_the_only_gap_between_equal_members(world: World) -> None:
    """Same members, same jobs, same grades: flipping the group moves the logit by -0.3."""
    query = np.repeat(world.log.lists.query, clicks.POSITIONS)[:500]
    job = world.log.lists.jobs.reshape(-1)[:500]
    member, grade = world.queries.member[query], world.log.grade.reshape(-1)[:500]
    logits = []
    for group in (0, 1):
        everyone = np.full(world.members.count, group)
        members = type(world.members)(**{**vars(world.members), "gender": everyone})
        chance = clicks.attraction(world.catalog, world.jobs, members, member, job, grade, 4)
        logits.append(np.log(chance / (1 - chance)))
    assert logits[0] - logits[1] == pytest.approx(np.full(500, clicks.GROUP_SHIFT))
