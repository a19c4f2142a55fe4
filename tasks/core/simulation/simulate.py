"""Makes a world: a pure function of policy, seed and scale.

world = simulate(parse_policy(Path("policy/job_search/policy.md")), seed=0)
world.truth("q00001", "m00042", "j00007").grade
"""

from dataclasses import dataclass

import numpy as np

from tasks.core.errors import CookbookError
from tasks.core.policies.model import Policy
from tasks.core.simulation.catalog import Catalog, Ints, load_catalog
from tasks.core.simulation.clicks import POSITIONS, act, attraction
from tasks.core.simulation.facts import FactTable
from tasks.core.simulation.golden import CANDIDATES, SPLITS, CandidatePicker, rate, split_counts
from tasks.core.simulation.grading import grade_columns
from tasks.core.simulation.job_texts import JobWriter
from tasks.core.simulation.jobs import Jobs, family_hubs, make_jobs, occupation_weights
from tasks.core.simulation.log import make_lists
from tasks.core.simulation.member_texts import MemberWriter
from tasks.core.simulation.members import Members, make_members
from tasks.core.simulation.older_ranker import OlderRanker
from tasks.core.simulation.queries import Ask, Queries, stack
from tasks.core.simulation.query_writer import QueryWriter, held_out_occupations, unique_queries
from tasks.core.simulation.sampling import stage_generator
from tasks.core.simulation.texts import InvertedIndex
from tasks.core.simulation.world import Golden, Log, Shown, World, grade_many
from tasks.core.text import normalize_query

_JOBS, _MEMBERS, _GOLDEN, _BOTS = 3000, 600, 400, 8
_FEWEST_JOBS, _FEWEST_MEMBERS, _FEWEST_GOLDEN = 400, 40, 20
_QUERIES_PER_MEMBER, _LABELED_PER_MEMBER = 6, 2
_HELD_OUT_TEMPLATE_SHARE = 0.15


@dataclass(frozen=True, eq=False)
class _Society:
    """Jobs and members, before anybody searches."""

    seed: int
    catalog: Catalog
    jobs: Jobs
    members: Members
    held_out: Ints
    shown_jobs: Shown
    shown_members: Shown

    def stream(self, stage: str) -> np.random.Generator:
        return stage_generator(self.seed, stage)


def simulate(policy: Policy, *, seed: int, scale: float = 1.0) -> World:
    """Make a world; the same arguments give the same world, bit for bit.

    Scale 1 has 3,000 jobs, 600 members, 400 golden queries and about 245,000 impressions. Jobs,
    members and the log grow with `scale`; golden data only shrinks with it, since people grade it.

    Raises:
        CookbookError: `scale` is not above 0.
    """
    if not scale > 0:
        raise CookbookError(f"expected a scale above 0, got {scale}; 1.0 is the shipped size.")
    society = _make_society(seed, scale)
    golden_queries = max(_FEWEST_GOLDEN, round(_GOLDEN * min(scale, 1.0)))
    queries, split = _write_queries(society, golden_queries)
    facts = FactTable(society.catalog, queries, society.members, society.jobs)
    traffic = np.arange(golden_queries, queries.count)
    labeled = society.stream("labels").permutation(traffic)
    return World(
        policy=policy,
        seed=seed,
        scale=scale,
        catalog=society.catalog,
        jobs=society.jobs,
        members=society.members,
        queries=queries,
        query_ids=_ids("q", queries.count),
        shown_jobs=society.shown_jobs,
        shown_members=society.shown_members,
        held_out=society.held_out,
        golden=_grade_golden(society, policy, queries, facts, split),
        labeled_traffic=np.sort(labeled[: _LABELED_PER_MEMBER * society.members.count]),
        log=_keep_log(society, policy, queries, facts, traffic),
        facts=facts,
    )


def _make_society(seed: int, scale: float) -> _Society:
    catalog = load_catalog()
    base = stage_generator(seed, "base")
    weights = occupation_weights(base, catalog)
    hubs = family_hubs(base, catalog)
    held_out = held_out_occupations(base, catalog)
    job_count = max(_FEWEST_JOBS, round(_JOBS * scale))
    jobs = make_jobs(stage_generator(seed, "jobs"), catalog, job_count, weights, hubs)
    members = make_members(
        stage_generator(seed, "members"),
        catalog,
        max(_FEWEST_MEMBERS, round(_MEMBERS * scale)),
        weights,
        hubs,
        held_out,
        max(1, round(_BOTS * scale)),
    )
    return _Society(
        seed,
        catalog,
        jobs,
        members,
        held_out,
        _show_jobs(stage_generator(seed, "job texts"), catalog, jobs),
        _show_members(stage_generator(seed, "member texts"), catalog, members),
    )


def _show_jobs(rng: np.random.Generator, catalog: Catalog, jobs: Jobs) -> Shown:
    writer = JobWriter(rng, catalog, jobs)
    rows = range(jobs.count)
    return Shown(
        _ids("j", jobs.count),
        [writer.title(job) for job in rows],
        [writer.text(job) for job in rows],
        [writer.attributes(job) for job in rows],
    )


def _show_members(rng: np.random.Generator, catalog: Catalog, members: Members) -> Shown:
    writer = MemberWriter(rng, catalog, members)
    rows = range(members.count)
    return Shown(
        _ids("m", members.count),
        [""] * members.count,
        [writer.text(member) for member in rows],
        [writer.attributes(member) for member in rows],
    )


def _ids(prefix: str, count: int) -> list[str]:
    """j00001, j00002 ...: as wide as the count needs, at least five digits."""
    width = max(5, len(str(count)))
    return [f"{prefix}{number:0{width}d}" for number in range(1, count + 1)]


def _write_queries(society: _Society, golden_queries: int) -> tuple[Queries, list[str]]:
    """Golden queries, then traffic; no two with the same normalized text.

    Held-out occupations and templates come up in gate and sealed queries only. Queries are written
    for those splits first, so that the traffic cannot take their words.
    """
    rng = society.stream("queries")
    writer = QueryWriter(rng, society.catalog, society.jobs, society.members)
    barred = set(society.held_out.tolist())
    people = np.flatnonzero(~society.members.bot)
    usual = people[~np.isin(society.members.occupation[people], society.held_out)]
    taken: set[str] = set()

    def write(members: Ints, count: int, rehearsed: bool) -> list[Ask]:
        return unique_queries(
            writer,
            rng.permutation(np.resize(members, 4 * count)).tolist(),
            count,
            taken,
            normalize_query,
            _never if rehearsed else lambda: bool(rng.random() < _HELD_OUT_TEMPLATE_SHARE),
            (lambda occupation: occupation not in barred) if rehearsed else _always,
        )

    tune, gate, sealed = split_counts(golden_queries)
    asks = write(people, gate + sealed, rehearsed=False) + write(usual, tune, rehearsed=True)
    splits = ["gate"] * gate + ["sealed"] * sealed + ["tune"] * tune
    order = rng.permutation(golden_queries)
    askers = np.repeat(_askers(society), _QUERIES_PER_MEMBER)
    traffic = unique_queries(
        writer,
        askers.tolist(),
        len(askers),
        taken,
        normalize_query,
        _never,
        lambda occupation: occupation not in barred,
    )
    return stack([asks[i] for i in order] + traffic), [splits[i] for i in order]


def _askers(society: _Society) -> Ints:
    """Members, bots among them, whose occupation the traffic may ask for."""
    return np.flatnonzero(~np.isin(society.members.occupation, society.held_out))


def _never() -> bool:
    return False


def _always(occupation: int) -> bool:
    return True


def _grade_golden(
    society: _Society, policy: Policy, queries: Queries, facts: FactTable, split: list[str]
) -> Golden:
    shown = society.shown_jobs
    postings = [f"{title} {text}" for title, text in zip(shown.titles, shown.texts, strict=True)]
    picker = CandidatePicker(
        society.stream("candidates"),
        society.catalog,
        society.jobs,
        society.members,
        society.shown_members.texts,
        InvertedIndex(postings),
        society.held_out,
    )
    job = np.concatenate(
        [picker.pick(queries, row, everywhere=name != SPLITS[0]) for row, name in enumerate(split)]
    )
    query = np.repeat(np.arange(len(split)), CANDIDATES)
    truth = grade_columns(policy, facts.columns(query, job))
    age_band = society.members.age_band[queries.member[query]]
    ratings = rate(society.stream("raters"), truth, age_band, policy.grade_count - 1)
    return Golden(query, job, split, truth, ratings)


def _keep_log(
    society: _Society, policy: Policy, queries: Queries, facts: FactTable, traffic: Ints
) -> Log:
    shown = society.shown_jobs
    words = [f"{title} {text}" for title, text in zip(shown.titles, shown.texts, strict=True)]
    rng = society.stream("log")
    catalog, jobs, members = society.catalog, society.jobs, society.members
    ranker = OlderRanker(rng, catalog, jobs, members, queries, words, society.held_out)
    lists = make_lists(rng, members, queries, traffic, ranker)
    query = np.repeat(lists.query, POSITIONS)
    job = lists.jobs.reshape(-1)
    grade = grade_many(policy, facts, query, job)
    top = policy.grade_count - 1
    attracted = attraction(catalog, jobs, members, queries.member[query], job, grade, top)
    table = lists.jobs.shape
    actions = act(rng, attracted.reshape(table), grade.reshape(table), top, lists)
    return Log(lists, grade.reshape(table), actions)
