"""The facts of (query, member, job) triples, as columns: what the policy's tables ask about."""

import numpy as np

from tasks.core.simulation import match_facts, terms_facts
from tasks.core.simulation.catalog import Bools, Catalog, Ints
from tasks.core.simulation.jobs import Jobs
from tasks.core.simulation.members import Members
from tasks.core.simulation.queries import Queries
from tasks.core.simulation.triples import Columns, Triples

_FACTS = (
    match_facts.intent,
    match_facts.title,
    match_facts.seniority,
    match_facts.skills,
    match_facts.experience,
    match_facts.credential,
    terms_facts.place,
    terms_facts.workplace,
    terms_facts.employment,
    terms_facts.industry,
    terms_facts.company,
    terms_facts.pay,
    terms_facts.language,
    terms_facts.authorization,
    terms_facts.exclusion,
    terms_facts.posting,
)


class FactTable:
    """Computes every fact of the policy's vocabulary for index arrays of queries and jobs.

    The member of a triple is the one who asked, `queries.member`.
    """

    def __init__(self, catalog: Catalog, queries: Queries, members: Members, jobs: Jobs) -> None:
        self._catalog, self._queries, self._members, self._jobs = catalog, queries, members, jobs
        self._covered = _with_equivalents(members.skills, catalog.skill_equivalent)

    def columns(self, query: Ints, job: Ints) -> Columns:
        """One array per fact, aligned with the indices given (all of one length)."""
        triples = Triples(
            self._catalog,
            self._queries,
            self._members,
            self._jobs,
            self._covered,
            query,
            self._queries.member[query],
            job,
        )
        columns: Columns = {}
        for facts in _FACTS:
            columns |= facts(triples)
        return columns


def _with_equivalents(has: Bools, equivalent: Bools) -> Bools:
    """(members, skills): the skill itself or one that stands in for it, equivalent[asked, had]."""
    covered = has.copy()
    for skill in np.flatnonzero(equivalent.any(axis=1)):
        covered[:, skill] |= has[:, equivalent[skill]].any(axis=1)
    return covered
