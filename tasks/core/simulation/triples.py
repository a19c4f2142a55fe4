"""(query, member, job) triples by index, and the words and shares that facts are made of."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.core.simulation.catalog import Bools, Catalog, Floats, Ints
from tasks.core.simulation.jobs import Jobs
from tasks.core.simulation.members import Members
from tasks.core.simulation.queries import Queries

Columns = dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, eq=False)
class Triples:
    """Aligned indices into queries, members and jobs."""

    catalog: Catalog
    queries: Queries
    members: Members
    jobs: Jobs
    covered: Bools  # (members, skills): has the skill or an equivalent of it
    query: Ints
    member: Ints
    job: Ints


def same_country(t: Triples) -> Bools:
    """Whether member and job are in one country."""
    country = t.catalog.places.country_id
    same: Bools = country[t.members.place[t.member]] == country[t.jobs.place[t.job]]
    return same


def words(vocabulary: tuple[str, ...], codes: Ints) -> npt.NDArray[np.generic]:
    """The word of each code."""
    return np.array(vocabulary)[codes]


def chosen(otherwise: str, *cases: tuple[Bools, str]) -> npt.NDArray[np.generic]:
    """The word of the first case that holds in each row."""
    return np.select([case for case, _ in cases], [word for _, word in cases], otherwise)


def share_held(has: Bools, skills: Ints) -> Floats:
    """Share of the listed skills a member has, rounded to 2 digits; 1.0 where none is listed."""
    listed = skills >= 0
    held = np.take_along_axis(has, np.maximum(skills, 0), axis=1) & listed
    count = listed.sum(axis=1)
    share: Floats = np.where(count == 0, 1.0, held.sum(axis=1) / np.maximum(count, 1))
    return np.round(share, 2)
