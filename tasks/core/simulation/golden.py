"""Golden data: which candidates a query gets, and how two raters and a third grade them."""

from dataclasses import dataclass

import numpy as np

from tasks.core.simulation.catalog import (
    ADJACENT,
    GENERALIZATION,
    SAME_FAMILY,
    SPECIALIZATION,
    Bools,
    Catalog,
    Floats,
    Ints,
)
from tasks.core.simulation.grading import Grades
from tasks.core.simulation.jobs import Jobs
from tasks.core.simulation.members import AGE_BANDS, Members
from tasks.core.simulation.queries import CITY, REMOTE, Queries
from tasks.core.simulation.texts import InvertedIndex

CANDIDATES = 20
SPLITS = ("tune", "gate", "sealed")
SPLIT_SHARES = (0.35, 0.15, 0.5)
RATER_NOISE = 0.48
CAREFUL_NOISE = 0.12
CAP_TEMPTATION = 0.2  # how far a capped pair still looks better than its grade
RATER_SHIFT_GROUP = "50_plus"
RATER_SHIFT = -0.15
# How many candidates come from where; what is missing is filled at random.
_STRATA = (
    ("fitting", 9),
    ("asked", 2),
    ("near", 2),
    ("lexical", 2),
    ("false_friend", 3),
    ("family", 1),
    ("local", 1),
)


@dataclass(frozen=True, eq=False)
class Ratings:
    """Per golden pair: two raters, and the adjudicated grade."""

    rater_1: Ints
    rater_2: Ints
    grade: Ints


class CandidatePicker:
    """Picks the 20 candidates of a query by stratum, from what it asks, never from the truth."""

    def __init__(
        self,
        rng: np.random.Generator,
        catalog: Catalog,
        jobs: Jobs,
        members: Members,
        profiles: list[str],
        index: InvertedIndex,
        held_out: Ints,
    ) -> None:
        self._rng, self._catalog, self._jobs, self._members = rng, catalog, jobs, members
        self._profiles, self._index = profiles, index
        self._seen_jobs = ~np.isin(jobs.occupation, held_out)

    def pick(self, queries: Queries, query: int, everywhere: bool) -> Ints:
        """Twenty different jobs; without `everywhere` none of a held-out occupation."""
        allowed = np.ones(self._jobs.count, dtype=bool) if everywhere else self._seen_jobs
        chosen: list[int] = []
        strata = self._strata(queries, query)
        for name, wanted in _STRATA:
            taken = np.zeros(self._jobs.count, dtype=bool)
            taken[chosen] = True
            options = strata[name][(allowed & ~taken)[strata[name]]]
            chosen += options[:wanted].tolist()
        taken = np.zeros(self._jobs.count, dtype=bool)
        taken[chosen] = True
        rest = self._rng.permutation(np.flatnonzero(allowed & ~taken))
        return np.array((chosen + rest.tolist())[:CANDIDATES])

    def _strata(self, queries: Queries, query: int) -> dict[str, Ints]:
        """Jobs per stratum, the first to be taken first."""
        jobs, facts = self._jobs, self._catalog.occupations
        asked = int(queries.occupation[query])
        reference = asked if asked >= 0 else int(self._members.occupation[queries.member[query]])
        relation = facts.relation[reference][jobs.occupation]
        topical = self._topical(queries, query, reference)
        order = np.argsort(-self._index.scores(queries.text[query]), kind="stable")
        profile = f"{queries.text[query]} {self._profiles[queries.member[query]]}"
        alike = np.argsort(-self._index.scores(profile), kind="stable")
        fit = self._fit(queries, query) + 2.0 * self._rng.random(jobs.count)
        fitting = np.flatnonzero(topical)
        family = np.flatnonzero(relation == SAME_FAMILY)
        near = np.flatnonzero(np.isin(relation, (SPECIALIZATION, GENERALIZATION, ADJACENT)))
        return {
            "fitting": fitting[np.argsort(-fit[fitting], kind="stable")],
            "asked": self._shuffled(topical),
            "near": near[np.argsort(-fit[near], kind="stable")],
            "lexical": order,
            "false_friend": alike[~topical[alike]],
            "family": family[np.argsort(-fit[family], kind="stable")],
            "local": self._shuffled(jobs.place == self._members.place[queries.member[query]]),
        }

    def _topical(self, queries: Queries, query: int, reference: int) -> Bools:
        """Jobs of the asked occupation, company, credential or skill: what a filter would find."""
        jobs, skills = self._jobs, queries.skills[query]
        found: Bools
        if queries.occupation[query] >= 0:
            found = jobs.occupation == reference
        elif queries.company[query] >= 0:
            found = jobs.company == queries.company[query]
        elif queries.credential[query] >= 0:
            found = jobs.credential == queries.credential[query]
        elif (skills >= 0).any():
            found = np.isin(jobs.required, skills[skills >= 0]).sum(axis=1) > 0
        else:  # an industry, a place or a level alone: the member's own line of work
            relation = self._catalog.occupations.relation[reference][jobs.occupation]
            industry = queries.industry[query]
            found = (relation <= SAME_FAMILY) & ((industry < 0) | (jobs.industry == industry))
        return found

    def _fit(self, queries: Queries, query: int) -> Floats:
        """How many of the asked place, level, workplace, company and employment a job has."""
        jobs = self._jobs
        member = queries.member[query]
        kind = queries.place_kind[query]
        place = queries.place[query] if kind == CITY else self._members.place[member]
        level = queries.level[query]
        wanted = level if level >= 0 else self._members.level[member]
        fit: Floats = 2.0 * ((jobs.place == place) | (jobs.workplace == 0))
        fit += 1.0 * (np.abs(jobs.level - wanted) <= 1)
        fit += 1.0 * ((kind == REMOTE) & (jobs.workplace == 0))
        for asked, offered in (
            (queries.level, jobs.level),
            (queries.company, jobs.company),
            (queries.employment, jobs.employment),
            (queries.industry, jobs.industry),
        ):
            fit += 1.0 * ((asked[query] >= 0) & (offered == asked[query]))
        skills = queries.skills[query]
        fit += np.isin(jobs.required, skills[skills >= 0]).sum(axis=1)
        return fit

    def _shuffled(self, mask: Bools) -> Ints:
        return self._rng.permutation(np.flatnonzero(mask))


def split_counts(queries: int) -> list[int]:
    """Number of queries per split, in the order of SPLITS."""
    tune, gate = (round(share * queries) for share in SPLIT_SHARES[:2])
    return [tune, gate, queries - tune - gate]


def rate(rng: np.random.Generator, truth: Grades, age_band: Ints, top: int) -> Ratings:
    """Raters read the weighted mean with noise, so that close calls are the ones they miss.

    A cap is mostly heeded. Members of RATER_SHIFT_GROUP are seen lower by RATER_SHIFT: a planted
    disparity. Where the two disagree a careful third decides.
    """
    shift = RATER_SHIFT * (age_band == AGE_BANDS.index(RATER_SHIFT_GROUP))
    above = truth.mean - truth.grade
    exact = truth.grade + np.where(above > 0.5, CAP_TEMPTATION, above) + shift
    raters = [_read(rng, exact, RATER_NOISE, top), _read(rng, exact, RATER_NOISE, top)]
    third = _read(rng, exact, CAREFUL_NOISE, top)
    return Ratings(raters[0], raters[1], np.where(raters[0] == raters[1], raters[0], third))


def _read(rng: np.random.Generator, exact: Floats, noise: float, top: int) -> Ints:
    seen = np.floor(exact + rng.normal(0.0, noise, len(exact)) + 0.5)
    return np.clip(seen, 0, top).astype(np.int64)
