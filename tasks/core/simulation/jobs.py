"""Job postings as columns: what each job truly is, before any of it is put into words."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from tasks.core.simulation.catalog import Bools, Catalog, Floats, Ints
from tasks.core.simulation.sampling import (
    pick,
    pick_per_row,
    ragged,
    sample_columns,
)

LEVELS = ("intern", "junior", "mid", "senior", "lead", "manager", "director", "executive")
INTERN, JUNIOR, MID, SENIOR, LEAD, MANAGER, DIRECTOR, EXECUTIVE = range(8)
WORKPLACES = ("remote", "hybrid", "onsite")
REMOTE_SCOPES = ("none", "worldwide", "country", "region")
EMPLOYMENTS = ("full_time", "part_time", "contract", "temporary", "internship")
SHIFTS = ("day", "rotating", "night")
TRAVEL = ("none", "occasional", "frequent")
AUTHORIZATION = ("silent", "required", "sponsored")
SIZES = ("under_100", "100_to_5000", "over_5000")
LEVEL_PAY = np.array([0.45, 0.78, 1.0, 1.25, 1.42, 1.5, 1.9, 2.5])
LEVEL_YEARS = np.array([0, 1, 3, 6, 8, 7, 10, 13])
LEVEL_WEIGHTS = np.array([0.04, 0.15, 0.41, 0.25, 0.07, 0.05, 0.02, 0.01])
HUB_WEIGHTS = (0.62, 0.25, 0.13)
_SHIFT_FAMILIES = ("nursing", "manufacturing", "logistics", "hospitality", "public", "support")
_VARIANTS = 4
# The chance that one posting of a cluster differs from its siblings in this field.
_MUTATION = {
    "level": 0.45,
    "place": 0.25,
    "workplace": 0.3,
    "required": 0.45,
    "employment": 0.25,
    "credential": 0.15,
    "company": 0.5,
}


@dataclass(frozen=True, eq=False)
class Jobs:
    """One row per job; skills are padded with -1, all else is an index, a number or a flag."""

    occupation: Ints
    surface: Ints  # which name of the occupation the title uses
    level: Ints
    place: Ints
    workplace: Ints
    scope: Ints
    employment: Ints
    shift: Ints
    required: Ints  # (jobs, 5) skills
    preferred: Ints  # (jobs, 3) skills
    dropped_skill: Ints  # a skill the employer says it no longer uses; -1: none
    years: Ints  # required years; 0: not stated
    credential: Ints  # required credential; -1: none
    degree_preferred: Bools
    company: Ints
    industry: Ints
    agency: Bools
    pay_low: Ints  # thousand USD a year
    pay_high: Ints
    pay_stated: Bools
    commission: Bools
    travel: Ints
    language: Ints  # -1: none
    authorization: Ints
    posted_days: Ints
    closed: Bools
    stuffed: Bools
    vague: Bools
    flexible: Bools
    training: Bools
    quality: Floats  # appeal that no attribute explains, in logits

    @property
    def count(self) -> int:
        """Number of jobs."""
        return len(self.occupation)

    def size(self, catalog: Catalog) -> Ints:
        """Employer size, an index into SIZES."""
        return catalog.company_size[self.company]


def occupation_weights(rng: np.random.Generator, catalog: Catalog) -> Floats:
    """How common each occupation is in this world: a few are frequent, many are rare."""
    weights: Floats = np.exp(rng.normal(0.0, 1.0, catalog.occupations.count))
    return weights


def family_hubs(rng: np.random.Generator, catalog: Catalog) -> Ints:
    """The cities where a family's jobs and people gather, the main one first: (families, 3)."""
    keys = rng.random((len(catalog.families), len(catalog.places.city)))
    order = np.argsort(keys ** (1.0 / catalog.places.weight), axis=1, kind="stable")
    chosen: Ints = order[:, ::-1][:, : len(HUB_WEIGHTS)].copy()
    return chosen


def settle(
    rng: np.random.Generator, catalog: Catalog, occupation: Ints, hubs: Ints, share: float
) -> Ints:
    """A city per occupation given: one of the family's hubs with probability `share`."""
    count = len(occupation)
    hub = hubs[catalog.occupations.family[occupation], pick(rng, HUB_WEIGHTS, count)]
    elsewhere = pick(rng, catalog.places.weight, count)
    return np.where(rng.random(count) < share, hub, elsewhere)


def make_jobs(
    rng: np.random.Generator, catalog: Catalog, count: int, weights: Floats, hubs: Ints
) -> Jobs:
    """Postings in clusters of siblings that differ in a few fields: the near misses of a search."""
    clusters = max(1, count // _VARIANTS)
    occupation = pick(rng, weights, clusters)
    base = _draw(rng, catalog, occupation, hubs)
    member = rng.permutation(np.arange(count) % clusters)
    fresh = _draw(rng, catalog, occupation[member], hubs)
    columns = {}
    masks = {name: rng.random(count) < chance for name, chance in _MUTATION.items()}
    masks["scope"] = masks["workplace"]
    masks["preferred"] = masks["required"]
    masks["industry"] = masks["agency"] = masks["company"]
    for name, inherited in base.items():
        mask = masks.get(name, np.ones(count, dtype=bool))
        mask = mask.reshape(-1, *([1] * (inherited.ndim - 1)))
        columns[name] = np.where(mask, fresh[name], inherited[member])
    return _complete(rng, catalog, columns)


def _draw(
    rng: np.random.Generator, catalog: Catalog, occupation: Ints, hubs: Ints
) -> dict[str, Ints]:
    """Independent draws of every field that siblings may share."""
    count = len(occupation)
    facts = catalog.occupations
    remote = facts.remote[occupation]
    pool = ragged(facts.skills)[occupation]
    required = sample_columns(rng, pool, 2 + pick(rng, [0.25, 0.4, 0.25, 0.1], count), 0.8)[:, :5]
    preferred = sample_columns(
        rng,
        np.where((pool[:, :, None] == required[:, None, :]).any(axis=2), -1, pool),
        pick(rng, [0.35, 0.35, 0.2, 0.1], count),
    )[:, :3]
    industry, company = _employer(rng, catalog, occupation)
    return {
        "occupation": occupation,
        "level": pick(rng, LEVEL_WEIGHTS, count),
        "place": settle(rng, catalog, occupation, hubs, 0.9),
        "workplace": pick_per_row(
            rng, np.stack([remote * 0.65, remote * 0.6, 1.0 - remote], axis=1)
        ),
        "scope": 1 + pick(rng, [0.4, 0.45, 0.15], count),
        "employment": pick(rng, [0.78, 0.08, 0.1, 0.04], count),
        "required": required,
        "preferred": preferred,
        "credential": _credential(rng, catalog, occupation),
        "company": company,
        "industry": industry,
        "agency": (rng.random(count) < 0.08).astype(np.int64),
    }


def _credential(rng: np.random.Generator, catalog: Catalog, occupation: Ints) -> Ints:
    usual = catalog.occupations.credential[occupation]
    chance = np.array([0.0, 0.75, 0.65, 0.88])[catalog.credential_kind[usual]]
    wanted = (usual >= 0) & (rng.random(len(usual)) < chance)
    degree = (usual < 0) & (catalog.occupations.pay[occupation] > 70)
    degree &= rng.random(len(usual)) < 0.22
    return np.where(wanted, usual, np.where(degree, catalog.degree, -1))


def _employer(rng: np.random.Generator, catalog: Catalog, occupation: Ints) -> tuple[Ints, Ints]:
    """The industry of the work and a company in it."""
    usual = ragged(catalog.occupations.industries)[occupation]
    column = pick(rng, [0.55, 0.25, 0.2], len(occupation)) % (usual >= 0).sum(axis=1)
    industry = usual[np.arange(len(occupation)), column]
    elsewhere = rng.random(len(occupation)) < 0.12
    industry = np.where(
        elsewhere, rng.integers(0, len(catalog.industries) - 1, len(occupation)), industry
    )
    return industry, _company_in(rng, catalog, industry)


def _company_in(rng: np.random.Generator, catalog: Catalog, industry: Ints) -> Ints:
    by_industry = ragged(
        [
            np.flatnonzero(catalog.company_industry == i).tolist()
            for i in range(len(catalog.industries))
        ]
    )
    sizes = (by_industry >= 0).sum(axis=1)
    column = (rng.random(len(industry)) * sizes[industry]).astype(np.int64)
    chosen: Ints = by_industry[industry, column]
    return chosen


def _complete(rng: np.random.Generator, catalog: Catalog, drawn: dict[str, Ints]) -> Jobs:
    """Add what follows from the drawn fields (pay, years) and what no sibling shares."""
    occupation, level, place = drawn["occupation"], drawn["level"], drawn["place"]
    count = len(occupation)
    agency = drawn["agency"].astype(bool)
    staffing = np.full(count, catalog.industries.index("staffing"))
    columns = dict(drawn)
    columns["company"] = np.where(agency, _company_in(rng, catalog, staffing), drawn["company"])
    columns["scope"] = np.where(drawn["workplace"] == 0, drawn["scope"], 0)
    columns["employment"] = np.where(level == INTERN, 4, drawn["employment"])
    usual_pay = catalog.occupations.pay[occupation] * LEVEL_PAY[level]
    usual_pay *= catalog.places.country_pay[catalog.places.country_id[place]]
    low = np.maximum(8, np.rint(usual_pay * np.exp(rng.normal(-0.08, 0.14, count))))
    years = np.maximum(0, LEVEL_YEARS[level] + rng.integers(-1, 3, count))
    silent = (rng.random(count) < 0.3) | (level == INTERN)
    return Jobs(
        **_typed(columns),
        agency=agency,
        years=np.where(silent, 0, years),
        pay_low=low.astype(np.int64),
        pay_high=np.rint(low * rng.uniform(1.1, 1.35, count)).astype(np.int64),
        pay_stated=rng.random(count) < 0.72,
        **_circumstances(rng, catalog, columns),
    )


def _typed(columns: dict[str, Ints]) -> dict[str, Any]:
    names = {field.name for field in fields(Jobs)} - {"agency"}
    return {name: column for name, column in columns.items() if name in names}


def _circumstances(
    rng: np.random.Generator, catalog: Catalog, columns: dict[str, Ints]
) -> dict[str, Any]:
    """Shift, travel, language, age of the posting and the like; independent per job."""
    occupation, place = columns["occupation"], columns["place"]
    count = len(occupation)
    family = catalog.occupations.family[occupation]
    shifts = np.isin(family, [catalog.families.index(name) for name in _SHIFT_FAMILIES])
    shift = pick_per_row(rng, np.where(shifts[:, None], [0.66, 0.14, 0.2], [1.0, 0.0, 0.0]))
    local = catalog.places.country_language[catalog.places.country_id[place]]
    english = catalog.languages.index("English")
    asks = np.where(local == english, rng.random(count) < 0.06, rng.random(count) < 0.3)
    foreign = pick(rng, catalog.language_weight, count)
    pool = ragged(catalog.occupations.skills)[occupation]
    asked = np.concatenate([columns["required"], columns["preferred"]], axis=1)
    unused = np.where((pool[:, :, None] == asked[:, None, :]).any(axis=2), -1, pool)
    dropped = sample_columns(rng, unused, np.ones(count, dtype=np.int64))[:, 0]
    names = np.array([len(surfaces) for surfaces in catalog.occupations.surfaces])[occupation]
    other = (rng.random(count) * names).astype(np.int64)
    return {
        "surface": np.where(rng.random(count) < 0.3, 0, other),
        "shift": shift,
        "language": np.where(asks, np.where(local == english, foreign, local), -1),
        "dropped_skill": np.where(rng.random(count) < 0.05, dropped, -1),
        "degree_preferred": (columns["credential"] < 0) & (rng.random(count) < 0.12),
        "commission": (family == catalog.families.index("sales")) & (rng.random(count) < 0.35),
        "travel": pick(rng, [0.8, 0.12, 0.08], count),
        "authorization": pick(rng, [0.7, 0.16, 0.14], count),
        "posted_days": np.minimum(120, rng.exponential(20.0, count)).astype(np.int64),
        "closed": rng.random(count) < 0.02,
        "stuffed": rng.random(count) < 0.03,
        "vague": rng.random(count) < 0.04,
        "flexible": rng.random(count) < 0.3,
        "training": rng.random(count) < 0.3,
        "quality": rng.normal(0.0, 0.35, count),
    }
