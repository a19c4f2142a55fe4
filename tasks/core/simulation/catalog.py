"""The hand-written taxonomy as arrays: occupations, skills, places, credentials, companies.

Every index in a world points into the lists here, in the order of the files in taxonomy/.
"""

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

TITLE_RELATIONS = (
    "same",
    "synonym",
    "specialization",
    "generalization",
    "adjacent",
    "same_family",
    "related_family",
    "unrelated",
    "none",
)
SAME, SYNONYM, SPECIALIZATION, GENERALIZATION, ADJACENT, SAME_FAMILY, RELATED, UNRELATED, NONE = (
    range(9)
)
CREDENTIAL_KINDS = ("none", "degree", "certificate", "license")
_EARTH_RADIUS_KM = 6371.0
_FOLDER = Path(__file__).parent / "taxonomy"
Row = dict[str, str]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Occupations:
    """Occupations in file order; `surfaces[i][0]` is the canonical title of occupation i."""

    surfaces: list[list[str]]
    family: Ints
    skills: list[list[int]]
    industries: list[list[int]]
    credential: Ints  # -1: none
    pay: Floats  # thousand USD a year at mid level in the United States
    remote: Floats  # share of postings that could be done remotely
    relation: Ints  # (asked, job) -> index into TITLE_RELATIONS; SAME on the diagonal
    supports: Bools  # (asked, job): the job supports the asked occupation

    @property
    def count(self) -> int:
        """Number of occupations."""
        return len(self.surfaces)


@dataclass(frozen=True, eq=False)
class Places:
    """Cities with the distance between each two, in km."""

    city: list[str]
    aliases: list[list[str]]
    region: list[str]
    country: list[str]
    region_id: Ints
    country_id: Ints
    countries: list[str]
    country_aliases: list[list[str]]
    country_pay: Floats
    country_language: Ints
    weight: Floats
    distance: Ints


@dataclass(frozen=True, eq=False)
class Catalog:
    """The whole taxonomy; `families` and the like are the names behind the indices."""

    occupations: Occupations
    places: Places
    families: list[str]
    family_related: Bools
    skills: list[list[str]]  # surfaces; the first is the canonical name
    skill_equivalent: Bools  # (asked, present)
    industries: list[str]
    industry_adjacent: Bools
    credentials: list[list[str]]
    credential_kind: Ints
    credential_regional: Bools
    credential_equivalent: Bools  # (required, held)
    degree: int
    languages: list[str]
    language_weight: Floats
    companies: list[str]
    company_industry: Ints
    company_parent: Ints  # -1: none
    company_size: Ints  # 0 small, 1 medium, 2 large


@lru_cache(maxsize=1)
def load_catalog() -> Catalog:
    """Read taxonomy/*.csv; a pure function of the files that ship with this module."""
    families, industries = _read("families"), _read("industries")
    credentials, languages = _read("credentials"), _read("languages")
    companies, occupations = _read("companies"), _read("occupations")
    family_names = [row["family"] for row in families]
    industry_names = [row["industry"] for row in industries]
    credential_names = [row["credential"] for row in credentials]
    company_names = [row["company"] for row in companies]
    skills, equivalent = _skills(occupations)
    related = _links(families, "family", "related")
    related |= related.T
    return Catalog(
        occupations=_occupations(
            occupations,
            {surface[0]: i for i, surface in enumerate(skills)},
            family_names,
            related,
            industry_names,
            credential_names,
        ),
        places=_places([row["language"] for row in languages]),
        families=family_names,
        family_related=related,
        skills=skills,
        skill_equivalent=equivalent,
        industries=industry_names,
        industry_adjacent=_symmetric(_links(industries, "industry", "adjacent")),
        credentials=[[row["credential"], *_split(row["phrases"])] for row in credentials],
        credential_kind=_codes([row["kind"] for row in credentials], list(CREDENTIAL_KINDS)),
        credential_regional=np.array([row["regional"] == "1" for row in credentials]),
        credential_equivalent=_links(credentials, "credential", "equivalents"),
        degree=credential_names.index("degree"),
        languages=[row["language"] for row in languages],
        language_weight=np.array([float(row["weight"]) for row in languages]),
        companies=company_names,
        company_industry=_codes([row["industry"] for row in companies], industry_names),
        company_parent=_codes([row["parent"] for row in companies], company_names),
        company_size=_codes([row["size"] for row in companies], ["small", "medium", "large"]),
    )


def _read(name: str) -> list[Row]:
    with (_FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _split(cell: str) -> list[str]:
    return cell.split("|") if cell else []


def _codes(values: list[str], names: list[str]) -> Ints:
    """Index of each value in `names`; an empty value is -1."""
    return np.array([names.index(value) if value else -1 for value in values], dtype=np.int64)


def _links(rows: list[Row], key: str, column: str) -> Bools:
    names = [row[key] for row in rows]
    linked = np.zeros((len(rows), len(rows)), dtype=bool)
    for i, row in enumerate(rows):
        for name in _split(row[column]):
            linked[i, names.index(name)] = True
    return linked


def _symmetric(linked: Bools) -> Bools:
    both: Bools = linked | linked.T
    return both


def _skills(occupations: list[Row]) -> tuple[list[list[str]], Bools]:
    """Every skill an occupation names, in order of first use, with what else it is called."""
    described = {row["skill"]: row for row in _read("skills")}
    names = list(dict.fromkeys(skill for row in occupations for skill in row["skills"].split("|")))
    surfaces = [
        [name, *_split(described[name]["synonyms"] if name in described else "")] for name in names
    ]
    equivalent = np.zeros((len(names), len(names)), dtype=bool)
    for name, row in described.items():
        for other in _split(row["equivalents"]):
            equivalent[names.index(name), names.index(other)] = True
    return surfaces, equivalent


def _occupations(
    rows: list[Row],
    skills: dict[str, int],
    families: list[str],
    family_related: Bools,
    industries: list[str],
    credentials: list[str],
) -> Occupations:
    titles = [row["title"] for row in rows]
    family = _codes([row["family"] for row in rows], families)
    return Occupations(
        surfaces=[[row["title"], *_split(row["synonyms"])] for row in rows],
        family=family,
        skills=[[skills[name] for name in row["skills"].split("|")] for row in rows],
        industries=[_codes(_split(row["industries"]), industries).tolist() for row in rows],
        credential=_codes([row["credential"] for row in rows], credentials),
        pay=np.array([float(row["pay"]) for row in rows]),
        remote=np.array([float(row["remote"]) for row in rows]),
        relation=_relations(
            _codes([row["parent"] for row in rows], titles),
            _symmetric(_links(rows, "title", "adjacent")),
            family,
            family_related,
        ),
        supports=_links(rows, "title", "supports").T,
    )


def _relations(parent: Ints, adjacent: Bools, family: Ints, family_related: Bools) -> Ints:
    """Weakest relation first, so that each stronger one overwrites it."""
    count = len(parent)
    relation = np.full((count, count), UNRELATED, dtype=np.int64)
    relation[family_related[family[:, None], family[None, :]]] = RELATED
    relation[family[:, None] == family[None, :]] = SAME_FAMILY
    siblings = (parent[:, None] == parent[None, :]) & (parent[:, None] >= 0)
    relation[adjacent | siblings] = ADJACENT
    children = np.flatnonzero(parent >= 0)
    relation[parent[children], children] = SPECIALIZATION
    relation[children, parent[children]] = GENERALIZATION
    np.fill_diagonal(relation, SAME)
    return relation


def _places(languages: list[str]) -> Places:
    rows, country_rows = _read("places"), _read("countries")
    countries = [row["country"] for row in country_rows]
    regions = list(dict.fromkeys(row["region"] for row in rows))
    return Places(
        city=[row["city"] for row in rows],
        aliases=[_split(row["aliases"]) for row in rows],
        region=[row["region"] for row in rows],
        country=[row["country"] for row in rows],
        region_id=_codes([row["region"] for row in rows], regions),
        country_id=_codes([row["country"] for row in rows], countries),
        countries=countries,
        country_aliases=[_split(row["aliases"]) for row in country_rows],
        country_pay=np.array([float(row["pay_factor"]) for row in country_rows]),
        country_language=_codes([row["language"] for row in country_rows], languages),
        weight=np.array([float(row["weight"]) for row in rows]),
        distance=_distances(rows),
    )


def _distances(rows: list[Row]) -> Ints:
    """Great-circle distances by the haversine formula, rounded to whole km."""
    latitude = np.radians([float(row["lat"]) for row in rows])
    longitude = np.radians([float(row["lon"]) for row in rows])
    half_chord = (
        np.sin((latitude[:, None] - latitude[None, :]) / 2) ** 2
        + np.cos(latitude[:, None])
        * np.cos(latitude[None, :])
        * np.sin((longitude[:, None] - longitude[None, :]) / 2) ** 2
    )
    distances: Ints = np.rint(2 * _EARTH_RADIUS_KM * np.arcsin(np.sqrt(half_chord)))
    return distances.astype(np.int64)
