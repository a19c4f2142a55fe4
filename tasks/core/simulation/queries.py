"""Queries as columns: what each query asks for, and the words it uses."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path

import numpy as np

from tasks.core.simulation.catalog import Ints
from tasks.core.simulation.sampling import ragged

KINDS = (
    "title",
    "title_company",
    "title_skill",
    "skill",
    "seniority",
    "place",
    "aspirational",
    "company",
    "license",
    "industry",
)
GROUPS = KINDS  # a group of templates is named for the kind it adds to the title
PLACES_ASKED = ("none", "city", "region", "country", "remote")
NO_PLACE, CITY, REGION, COUNTRY, REMOTE = range(5)
EXCLUSIONS = (
    "agency",
    "night",
    "travel",
    "degree",
    "remote",
    "onsite",
    "management",
    "commission",
    "industry",
)
NIGHT_SHIFT = 5  # asked employment, after the job's five


@dataclass
class Ask:
    """One query in the making; -1 (or 0 for pay) where it does not say."""

    member: int
    kind: int = 0
    template: int = 0
    occupation: int = -1
    surface: int = 0
    level: int = -1
    skills: list[int] = field(default_factory=list)
    place_kind: int = NO_PLACE
    place: int = -1
    workplace: int = -1
    employment: int = -1
    industry: int = -1
    company: int = -1
    credential: int = -1
    pay: int = 0
    exclusion: int = -1
    excluded_industry: int = -1
    misspelt: bool = False
    text: str = ""


@dataclass(frozen=True, eq=False)
class Queries:
    """Asks as columns, one row per query; `skills` is padded with -1."""

    text: list[str]
    member: Ints
    kind: Ints
    template: Ints
    occupation: Ints
    surface: Ints
    level: Ints
    skills: Ints
    place_kind: Ints
    place: Ints
    workplace: Ints
    employment: Ints
    industry: Ints
    company: Ints
    credential: Ints
    pay: Ints
    exclusion: Ints
    excluded_industry: Ints
    misspelt: Ints

    @property
    def count(self) -> int:
        """Number of queries."""
        return len(self.text)


@dataclass(frozen=True)
class Template:
    """A surface form of a query; held-out ones appear in no traffic and no tune query."""

    group: int  # index into GROUPS: how often members write such queries
    kind: int  # what the query mainly names, an index into KINDS
    text: str
    weight: float
    held_out: bool


@lru_cache(maxsize=1)
def load_templates() -> tuple[Template, ...]:
    """Read taxonomy/query_templates.csv."""
    path = Path(__file__).parent / "taxonomy" / "query_templates.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(
            Template(
                GROUPS.index(row["group"]),
                KINDS.index(row["kind"]),
                row["template"],
                float(row["weight"]),
                row["held_out"] == "1",
            )
            for row in csv.DictReader(file)
        )


def stack(asks: Sequence[Ask]) -> Queries:
    """Asks as columns."""
    columns = {
        name.name: np.array([getattr(ask, name.name) for ask in asks], dtype=np.int64)
        for name in fields(Queries)
        if name.name not in ("text", "skills")
    }
    skills = ragged([[*ask.skills, -1, -1][:2] for ask in asks])
    return Queries(text=[ask.text for ask in asks], skills=skills, **columns)
