"""Facts agree with a second, slow derivation, and speak the policy's vocabulary."""

from typing import Any

import numpy as np
import pytest

from tasks.core.policy import Policy
from tasks.core.simulation.world import World


@pytest.fixture(scope="module")
def sampled(world: World) -> list[tuple[int, int, dict[str, Any]]]:
    """Random golden pairs as (query row, job row, facts)."""
    rows = np.random.default_rng(0).permutation(len(world.golden.job))[:400]
    query, job = world.golden.query[rows], world.golden.job[rows]
    columns = world.facts.columns(query, job)
    return [
        (int(query[i]), int(job[i]), {name: column[i].item() for name, column in columns.items()})
        for i in range(len(rows))
    ]


def test_facts_are_exactly_the_policys_with_values_it_lists(
    policy: Policy, sampled: list[tuple[int, int, dict[str, Any]]]
) -> None:
    kinds = {"word": str, "integer": int, "number": float, "flag": bool}
    for _, _, facts in sampled:
        assert facts.keys() == {fact.name for fact in policy.facts}
        for fact in policy.facts:
            assert type(facts[fact.name]) is kinds[fact.kind], fact.name
            assert fact.kind != "word" or facts[fact.name] in fact.values, fact.name


def test_distance_is_from_the_asked_city_or_from_home(
    world: World, sampled: list[tuple[int, int, dict[str, Any]]]
) -> None:
    places, seen = world.catalog.places, set()
    for query, job, facts in sampled:
        kind = facts["place.asked"]
        if kind not in ("city", "none") or facts["workplace.job"] == "remote":
            continue
        home = world.members.place[world.queries.member[query]]
        start = world.queries.place[query] if kind == "city" else home
        assert facts["place.distance_km"] == places.distance[start, world.jobs.place[job]]
        seen.add(kind)
    assert seen == {"city", "none"}


def test_required_share_counts_equivalents_by_hand(
    world: World, sampled: list[tuple[int, int, dict[str, Any]]]
) -> None:
    equivalent = world.catalog.skill_equivalent
    for query, job, facts in sampled:
        has = set(np.flatnonzero(world.members.skills[world.queries.member[query]]))
        required = [int(skill) for skill in world.jobs.required[job] if skill >= 0]
        met = sum(
            skill in has or any(equivalent[skill, other] for other in has) for skill in required
        )
        assert facts["skills.required_share"] == round(met / len(required), 2)


def test_asked_skill_is_met_only_by_a_job_that_lists_it(
    world: World, sampled: list[tuple[int, int, dict[str, Any]]]
) -> None:
    seen = set()
    for query, job, facts in sampled:
        asked = {int(skill) for skill in world.queries.skills[query] if skill >= 0}
        offered = {*world.jobs.required[job].tolist(), *world.jobs.preferred[job].tolist()}
        met = facts["skills.asked_met"]
        seen.add(met)
        if met == "none":
            assert not asked
        elif met == "all":
            assert asked <= offered
        elif met != "contradicted":
            assert not asked <= offered
    assert {"none", "all", "missing"} <= seen


def test_levels_are_compared_with_what_was_asked_and_with_the_member(
    world: World, sampled: list[tuple[int, int, dict[str, Any]]]
) -> None:
    for query, job, facts in sampled:
        level = int(world.jobs.level[job])
        own = int(world.members.level[world.queries.member[query]])
        asked = int(world.queries.level[query])
        assert facts["seniority.member_gap"] == level - own
        assert facts["seniority.gap"] == (0 if asked < 0 else level - asked)


def test_stated_pay_decides_how_it_relates_to_the_asked_minimum(
    world: World, sampled: list[tuple[int, int, dict[str, Any]]]
) -> None:
    for query, job, facts in sampled:
        asked, low = int(world.queries.pay[query]), int(world.jobs.pay_low[job])
        high = int(world.jobs.pay_high[job])
        if not asked:
            expected = "none"
        elif not world.jobs.pay_stated[job]:
            expected = "not_stated"
        elif low >= asked:
            expected = "above"
        elif high >= asked:
            expected = "meets"
        else:
            expected = "slightly_below" if high >= 0.9 * asked else "below"
        assert facts["pay.relation"] == expected


def test_exclusion_is_hit_only_where_one_was_stated(world: World) -> None:
    columns = world.facts.columns(world.golden.query, world.golden.job)
    hit = columns["exclusion.hit"] != "none"
    assert hit.any()
    assert columns["exclusion.stated"][hit].all()
