"""A simulated world: everything that is known about one product, and the truth of any pair."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.core.decision_tables import Decision, decide
from tasks.core.errors import CookbookError
from tasks.core.policies.model import Policy
from tasks.core.simulation.catalog import Catalog, Ints
from tasks.core.simulation.clicks import Actions, Lists
from tasks.core.simulation.facts import FactTable
from tasks.core.simulation.golden import Ratings
from tasks.core.simulation.grading import Grades, grade_columns
from tasks.core.simulation.jobs import Jobs
from tasks.core.simulation.members import Members
from tasks.core.simulation.queries import Queries

_CHUNK = 200_000


@dataclass(frozen=True, eq=False)
class Shown:
    """What is visible of jobs and members: ids, texts, structured fields."""

    ids: list[str]
    titles: list[str]  # empty for members
    texts: list[str]
    attributes: list[dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Golden:
    """Golden pairs, CANDIDATES rows per golden query, with their truth and ratings."""

    query: Ints
    job: Ints
    split: list[str]  # per query
    truth: Grades
    ratings: Ratings


@dataclass(frozen=True, eq=False)
class Log:
    """The click log with the truth behind it; tables are (lists, positions)."""

    lists: Lists
    grade: Ints
    actions: Actions


@dataclass(frozen=True, eq=False)
class World:
    """Everything that is known about one simulated product. Golden queries stand first."""

    policy: Policy
    seed: int
    scale: float
    catalog: Catalog
    jobs: Jobs
    members: Members
    queries: Queries
    query_ids: list[str]
    shown_jobs: Shown
    shown_members: Shown
    held_out: Ints
    golden: Golden
    labeled_traffic: Ints  # rows of queries that queries.csv holds
    log: Log
    facts: FactTable

    def fact_values(self, query_id: str, member_id: str, doc_id: str) -> dict[str, Any]:
        """The facts of one triple, ready for `decide`.

        Raises:
            CookbookError: an id this world does not have, or a member who did not ask the query.
        """
        query = self._row(self.query_ids, query_id, "query")
        job = self._row(self.shown_jobs.ids, doc_id, "document")
        member = self._row(self.shown_members.ids, member_id, "member")
        if self.queries.member[query] != member:
            asker = self.shown_members.ids[self.queries.member[query]]
            raise CookbookError(
                f"expected {asker}, who asked {query_id}, got {member_id}; "
                "give the member of the query."
            )
        columns = self.facts.columns(np.array([query]), np.array([job]))
        return {name: column[0].item() for name, column in columns.items()}

    def truth(self, query_id: str, member_id: str, doc_id: str) -> Decision:
        """What the policy says about one triple, with the clauses that decided."""
        return decide(self.policy, self.fact_values(query_id, member_id, doc_id))

    def grades(self, queries: Ints, jobs: Ints) -> Ints:
        """True grades of many pairs, given by row of queries and of jobs."""
        return grade_many(self.policy, self.facts, queries, jobs)

    def _row(self, ids: Sequence[str], wanted: str, kind: str) -> int:
        try:
            row = int(wanted[1:]) - 1
            if ids[row] == wanted:
                return row
        except (ValueError, IndexError):
            pass
        raise CookbookError(
            f"expected a {kind} id of this world, from {ids[0]} to {ids[-1]}, got {wanted}; "
            "was it written with another seed or scale?"
        )


def grade_many(policy: Policy, facts: FactTable, queries: Ints, jobs: Ints) -> Ints:
    """True grades of aligned rows of queries and jobs, in bounded memory."""
    starts = range(0, len(queries), _CHUNK)
    parts = [slice(start, start + _CHUNK) for start in starts]
    return np.concatenate(
        [grade_columns(policy, facts.columns(queries[part], jobs[part])).grade for part in parts]
    )
