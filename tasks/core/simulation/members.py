"""Members as columns: career, skills, place, credentials, tastes, and the planted groups."""

from dataclasses import dataclass

import numpy as np

from tasks.core.simulation.catalog import Bools, Catalog, Floats, Ints
from tasks.core.simulation.jobs import LEVEL_WEIGHTS, LEVEL_YEARS, settle
from tasks.core.simulation.sampling import pick, ragged, sample_columns

HELD, IN_PROGRESS, OTHER_JURISDICTION, SILENT = range(4)
NO_DEGREE, DEGREE_SILENT, DEGREE = range(3)
FLUENCY = ("none", "basic", "working", "fluent")
GENDERS = ("woman", "man")
AGE_BANDS = ("under_35", "35_to_49", "50_plus")
TASTES = ("remote", "pay", "mission", "flexible_hours", "training", "fresh")
POPULATION_TASTE = np.array([1.3, 0.8, 0.2, 1.1, 0.6, 0.7])
TASTE_SPREAD = 0.8
_MOSTLY_WOMEN = ("nursing", "education", "people", "office", "social")
_MOSTLY_MEN = ("construction", "manufacturing", "infrastructure", "software", "logistics")


@dataclass(frozen=True, eq=False)
class Members:
    """One row per member; `taste` are logits per unit of a job's taste feature (see TASTES)."""

    occupation: Ints
    surface: Ints  # which name of the occupation the profile uses
    level: Ints
    years: Ints
    place: Ints
    relocates: Bools
    skills: Bools  # (members, skills)
    shown_skills: Ints  # (members, 6), as listed in the profile
    credential: Ints  # -1: none in this career
    credential_status: Ints
    degree: Ints
    language: Ints  # a further language; -1: none
    fluency: Ints
    industry: Ints  # preferred industry; -1: none
    needs_visa: Bools
    taste: Floats  # (members, tastes)
    gender: Ints
    age_band: Ints
    bot: Bools

    @property
    def count(self) -> int:
        """Number of members."""
        return len(self.occupation)


def make_members(
    rng: np.random.Generator,
    catalog: Catalog,
    count: int,
    weights: Floats,
    hubs: Ints,
    held_out: Ints,
    bots: int,
) -> Members:
    """Careers follow the same occupations and cities as the jobs do."""
    occupation = pick(rng, weights, count)
    level = pick(rng, LEVEL_WEIGHTS, count)
    shown = _shown_skills(rng, catalog, occupation)
    skills = np.zeros((count, len(catalog.skills)), dtype=bool)
    rows, columns = np.nonzero(shown >= 0)
    skills[rows, shown[rows, columns]] = True
    language = pick(rng, catalog.language_weight, count)
    place = settle(rng, catalog, occupation, hubs, 0.93)
    local = catalog.places.country_language[catalog.places.country_id[place]]
    native = local != catalog.languages.index("English")
    speaks = native | (rng.random(count) < 0.35)
    return Members(
        occupation=occupation,
        surface=_surfaces(rng, catalog, occupation),
        level=level,
        years=np.maximum(0, LEVEL_YEARS[level] + rng.integers(-1, 5, count)),
        place=place,
        relocates=rng.random(count) < 0.3,
        skills=skills,
        shown_skills=shown,
        credential=catalog.occupations.credential[occupation],
        credential_status=pick(rng, [0.76, 0.08, 0.06, 0.1], count),
        degree=pick(rng, [0.08, 0.42, 0.5], count),
        language=np.where(speaks, np.where(native, local, language), -1),
        fluency=np.where(native, 3, 1 + pick(rng, [0.25, 0.3, 0.45], count)),
        industry=_preferred_industry(rng, catalog, occupation),
        needs_visa=rng.random(count) < 0.1,
        taste=POPULATION_TASTE + rng.normal(0.0, TASTE_SPREAD, (count, len(TASTES))),
        gender=(rng.random(count) >= _share_of_women(catalog, occupation)).astype(np.int64),
        age_band=_age_band(rng, level),
        bot=_bots(occupation, held_out, bots),
    )


def _bots(occupation: Ints, held_out: Ints, bots: int) -> Bools:
    """The last `bots` members whose occupation may be searched for in the traffic."""
    flagged = np.zeros(len(occupation), dtype=bool)
    flagged[np.flatnonzero(~np.isin(occupation, held_out))[-bots:]] = True
    return flagged


def _shown_skills(rng: np.random.Generator, catalog: Catalog, occupation: Ints) -> Ints:
    """Three to five skills of the own career, now and then one from anywhere in the taxonomy."""
    count = len(occupation)
    pool = ragged(catalog.occupations.skills)[occupation]
    own = sample_columns(rng, pool, 3 + pick(rng, [0.25, 0.45, 0.3], count), 0.5)[:, :5]
    extra = rng.integers(0, len(catalog.skills), count)
    repeated = (own == extra[:, None]).any(axis=1)
    extra = np.where((rng.random(count) < 0.3) & ~repeated, extra, -1)
    return np.concatenate([own, extra[:, None]], axis=1)


def _surfaces(rng: np.random.Generator, catalog: Catalog, occupation: Ints) -> Ints:
    sizes = np.array([len(names) for names in catalog.occupations.surfaces])[occupation]
    other = (rng.random(len(occupation)) * sizes).astype(np.int64)
    return np.where(rng.random(len(occupation)) < 0.35, 0, other)


def _preferred_industry(rng: np.random.Generator, catalog: Catalog, occupation: Ints) -> Ints:
    usual = ragged(catalog.occupations.industries)[occupation]
    column = (rng.random(len(occupation)) * (usual >= 0).sum(axis=1)).astype(np.int64)
    preferred = usual[np.arange(len(occupation)), column]
    return np.where(rng.random(len(occupation)) < 0.3, preferred, -1)


def _share_of_women(catalog: Catalog, occupation: Ints) -> Floats:
    """Occupations give the group away in part, as they do in life."""
    share = np.full(len(catalog.families), 0.5)
    share[[catalog.families.index(name) for name in _MOSTLY_WOMEN]] = 0.7
    share[[catalog.families.index(name) for name in _MOSTLY_MEN]] = 0.3
    by_member: Floats = share[catalog.occupations.family[occupation]]
    return by_member


def _age_band(rng: np.random.Generator, level: Ints) -> Ints:
    youth = np.clip(0.62 - 0.1 * level, 0.05, None)
    draw = rng.random(len(level))
    return np.where(draw < youth, 0, np.where(draw < youth + (1 - youth) * 0.6, 1, 2))
