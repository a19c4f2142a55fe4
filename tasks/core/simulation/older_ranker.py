"""The ranker that produced the log: shared words, some habits, and noise. It never saw a grade."""

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
from tasks.core.simulation.clicks import POSITIONS, job_appeal
from tasks.core.simulation.jobs import WORKPLACES, Jobs
from tasks.core.simulation.members import Members
from tasks.core.simulation.queries import Queries
from tasks.core.simulation.sampling import grouped, ragged
from tasks.core.simulation.texts import Vocabulary

_SAME, _NEAR, _FAMILY, _SPECIAL, _ANY = 18, 10, 6, 12, 4
_CHUNK = 2000
_QUERY_WORDS, _JOB_WORDS = 10, 24
_NOISE = 0.35
# Habits of this ranker that no member shares: what it puts first gets clicks for standing first.
SMALL_EMPLOYER_PENALTY = 0.3
HABITS = {"onsite": 0.9, "posted_over_14_days": 0.7, "fixed_hours": 0.7}


class OlderRanker:
    """Draws a pool of candidates per list and keeps the ten with the highest noisy score."""

    def __init__(
        self,
        rng: np.random.Generator,
        catalog: Catalog,
        jobs: Jobs,
        members: Members,
        queries: Queries,
        job_words: list[str],
        held_out: Ints,
    ) -> None:
        self._rng, self._catalog, self._jobs = rng, catalog, jobs
        self._members, self._queries = members, queries
        vocabulary = Vocabulary()
        self._job_words = vocabulary.table(job_words, _JOB_WORDS)
        self._query_words = vocabulary.table(queries.text, _QUERY_WORDS)
        self._liked = _habitual_liking(catalog, jobs)
        self._shown = ~np.isin(jobs.occupation, held_out)
        shown = np.flatnonzero(self._shown)
        self._everything = shown
        self._of_occupation = grouped(jobs.occupation, shown, catalog.occupations.count)
        self._of_family = grouped(
            catalog.occupations.family[jobs.occupation], shown, len(catalog.families)
        )
        self._of_company = grouped(jobs.company, shown, len(catalog.companies))
        self._of_skill = grouped(jobs.required[:, 0], shown, len(catalog.skills))
        relation = catalog.occupations.relation
        near = (SPECIALIZATION, GENERALIZATION, ADJACENT, SAME_FAMILY)
        self._near = ragged([np.flatnonzero(np.isin(row, near)).tolist() for row in relation])

    def rank(self, query: Ints) -> Ints:
        """Ten different jobs per listed query, best score first: (lists, POSITIONS)."""
        chunks = [query[i : i + _CHUNK] for i in range(0, len(query), _CHUNK)]
        return np.concatenate([self._rank(chunk) for chunk in chunks])

    def _rank(self, query: Ints) -> Ints:
        pool = self._pool(query)
        score = self._score(query, pool)
        score[_repeated(pool)] = -np.inf
        best = np.argsort(-score, axis=1, kind="stable")[:, :POSITIONS]
        return np.take_along_axis(pool, best, axis=1)

    def _pool(self, query: Ints) -> Ints:
        asked = self._queries.occupation[query]
        own = self._members.occupation[self._queries.member[query]]
        occupation = np.where(asked >= 0, asked, own)
        near = self._draw(self._near, occupation, _NEAR)
        near = np.where(near < 0, occupation[:, None], near)
        company = self._queries.company[query]
        skill = self._queries.skills[query][:, 0]
        special = self._draw(self._of_occupation, occupation, _SPECIAL)
        for table, key in ((self._of_skill, skill), (self._of_company, company)):
            named = self._draw(table, np.maximum(key, 0), _SPECIAL)
            special = np.where((key >= 0)[:, None] & (named >= 0), named, special)
        anything = self._rng.integers(0, len(self._everything), (len(query), _ANY))
        parts = [
            self._draw(self._of_occupation, occupation, _SAME),
            self._draw(self._of_occupation, near.ravel(), 1).reshape(near.shape),
            self._draw(self._of_family, self._catalog.occupations.family[occupation], _FAMILY),
            special,
            self._everything[anything],
        ]
        pool = np.concatenate(parts, axis=1)
        spare = self._rng.integers(0, len(self._everything), pool.shape)
        return np.where(pool < 0, self._everything[spare], pool)

    def _draw(self, table: Ints, row: Ints, count: int) -> Ints:
        """`count` random entries of each listed row of a padded table; -1 where a row is empty."""
        sizes = (table >= 0).sum(axis=1)[row]
        column = (self._rng.random((len(row), count)) * sizes[:, None]).astype(np.int64)
        drawn: Ints = table[row[:, None], column]
        return drawn

    def _score(self, query: Ints, pool: Ints) -> Floats:
        """Share of the query's words found in the job, plus the ranker's habits and noise."""
        asked = self._query_words[query]
        found = np.zeros(pool.shape)
        for word in range(asked.shape[1]):
            wanted = asked[:, word]
            hit = (self._job_words[pool] == wanted[:, None, None]).any(axis=2)
            found += hit & (wanted >= 0)[:, None]
        match = found / (asked >= 0).sum(axis=1)[:, None]
        noise = self._rng.normal(0.0, _NOISE, pool.shape)
        score: Floats = 2.0 * match + self._liked[pool] + noise
        return score


def _habitual_liking(catalog: Catalog, jobs: Jobs) -> Floats:
    """Score of each job before any query: a bit of appeal, and the ranker's habits."""
    liking: Floats = 0.3 * job_appeal(jobs)
    liking -= SMALL_EMPLOYER_PENALTY * (jobs.size(catalog) == 0)
    liking += HABITS["onsite"] * (jobs.workplace == WORKPLACES.index("onsite"))
    liking += HABITS["posted_over_14_days"] * (jobs.posted_days > 14)
    liking += HABITS["fixed_hours"] * ~jobs.flexible
    return liking


def _repeated(pool: Ints) -> Bools:
    """Whether the same job stands further left in its row."""
    order = np.argsort(pool, axis=1, kind="stable")
    ordered = np.take_along_axis(pool, order, axis=1)
    repeat = np.zeros(pool.shape, dtype=bool)
    repeat[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    repeated = np.zeros(pool.shape, dtype=bool)
    np.put_along_axis(repeated, order, repeat, axis=1)
    return repeated
