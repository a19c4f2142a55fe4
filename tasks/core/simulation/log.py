"""Assembles the click log: who searched when, what was shown, what was done."""

import numpy as np

from tasks.core.simulation.catalog import Bools, Ints
from tasks.core.simulation.clicks import (
    BOT_SHARE,
    DAYS,
    RANDOM_SHARE,
    REPEAT_SHARE,
    Lists,
)
from tasks.core.simulation.members import Members
from tasks.core.simulation.older_ranker import OlderRanker
from tasks.core.simulation.queries import Queries
from tasks.core.simulation.sampling import grouped

_LISTS_PER_MEMBER = (28, 68)
_SECONDS = DAYS * 86_400


def make_lists(
    rng: np.random.Generator, members: Members, queries: Queries, traffic: Ints, ranker: OlderRanker
) -> Lists:
    """Every list of the log in order of time; `traffic` are the rows of `queries` that members ask.

    Bots ask in bursts, one list every few seconds. A repeated list is the same one again, minutes
    later.
    """
    of_member = grouped(queries.member, traffic, members.count)
    people = _asking(rng, members, of_member)
    bots = _bot_requests(rng, members, of_member, round(BOT_SHARE * len(people)))
    asking = np.concatenate([people, bots])
    query = _choose(rng, of_member, asking)
    second = np.concatenate([rng.integers(0, _SECONDS, len(people)), _bursts(rng, bots)])
    shown = ranker.rank(query)
    at_random = rng.random(len(query)) < RANDOM_SHARE
    shuffled = np.argsort(rng.random(shown.shape), axis=1, kind="stable")
    shown = np.where(at_random[:, None], np.take_along_axis(shown, shuffled, axis=1), shown)
    return _with_repeats(rng, members, queries, query, shown, at_random, second, len(people))


def _asking(rng: np.random.Generator, members: Members, of_member: Ints) -> Ints:
    """Each member with a query of its own, as often as it comes back."""
    able = np.flatnonzero((of_member[:, 0] >= 0) & ~members.bot)
    return np.repeat(able, rng.integers(*_LISTS_PER_MEMBER, len(able)))


def _bot_requests(rng: np.random.Generator, members: Members, of_member: Ints, count: int) -> Ints:
    able = np.flatnonzero((of_member[:, 0] >= 0) & members.bot)
    if not len(able):
        return np.zeros(0, dtype=np.int64)
    drawn: Ints = able[rng.integers(0, len(able), count)]
    return np.sort(drawn)


def _choose(rng: np.random.Generator, of_member: Ints, asking: Ints) -> Ints:
    sizes = (of_member >= 0).sum(axis=1)[asking]
    chosen: Ints = of_member[asking, (rng.random(len(asking)) * sizes).astype(np.int64)]
    return chosen


def _bursts(rng: np.random.Generator, bots: Ints) -> Ints:
    """Seconds of bot lists: each bot has one start, then a list every 3 seconds."""
    if not len(bots):
        return np.zeros(0, dtype=np.int64)
    first = np.searchsorted(bots, bots, side="left")
    start = rng.integers(0, _SECONDS - 86_400, len(bots))
    return start[first] + 3 * (np.arange(len(bots)) - first)


def _with_repeats(
    rng: np.random.Generator,
    members: Members,
    queries: Queries,
    query: Ints,
    shown: Ints,
    at_random: Bools,
    second: Ints,
    people: int,
) -> Lists:
    """Append the repeated lists of people, then sort everything by time."""
    again = np.sort(rng.permutation(people)[: round(REPEAT_SHARE * people)])
    source = np.concatenate([np.arange(len(query)), again])
    later = np.zeros(len(source), dtype=np.int64)
    later[len(query) :] = rng.integers(60, 600, len(again))
    order = np.argsort(second[source] + later, kind="stable")
    place_of = np.empty(len(source), dtype=np.int64)
    place_of[order] = np.arange(len(source))
    repeat_of = np.full(len(source), -1, dtype=np.int64)
    repeat_of[len(query) :] = place_of[again]
    source_sorted = source[order]
    return Lists(
        query=query[source_sorted],
        jobs=shown[source_sorted],
        at_random=at_random[source_sorted],
        second=(second[source] + later)[order],
        bot=members.bot[queries.member[query[source_sorted]]],
        repeat_of=repeat_of[order],
    )
