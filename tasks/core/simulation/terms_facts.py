"""Facts of terms: place, workplace, employment, employer, pay, permissions, the posting itself."""

import numpy as np

from tasks.core.simulation.catalog import Bools
from tasks.core.simulation.jobs import EMPLOYMENTS, LEAD, MANAGER, REMOTE_SCOPES, WORKPLACES
from tasks.core.simulation.members import FLUENCY
from tasks.core.simulation.queries import (
    CITY,
    COUNTRY,
    EXCLUSIONS,
    NIGHT_SHIFT,
    PLACES_ASKED,
    REGION,
)
from tasks.core.simulation.triples import Columns, Triples, chosen, same_country, words


def place(t: Triples) -> Columns:
    """Distance from the asked place, else from the member's; a wide ask counts its edge as 0."""
    places = t.catalog.places
    kind = t.queries.place_kind[t.query]
    named = np.isin(kind, (CITY, REGION, COUNTRY))
    start = np.where(named, t.queries.place[t.query], t.members.place[t.member])
    site = t.jobs.place[t.job]
    region = places.region_id[start] == places.region_id[site]
    country = places.country_id[start] == places.country_id[site]
    remote, scope = t.jobs.workplace[t.job] == 0, t.jobs.scope[t.job]
    inside = remote | ((kind == REGION) & region) | ((kind == COUNTRY) & country)
    worldwide = remote & (scope == REMOTE_SCOPES.index("worldwide"))
    nationwide = (remote & (scope == REMOTE_SCOPES.index("country"))) | (kind == COUNTRY)
    return {
        "place.asked": words(PLACES_ASKED, kind),
        "place.distance_km": np.where(inside, 0, places.distance[start, site]),
        "place.same_region": region | worldwide | (nationwide & country),
        "place.same_country": country | worldwide,
        "place.member_relocates": t.members.relocates[t.member],
    }


def workplace(t: Triples) -> Columns:
    """Remote, hybrid or on site, as asked and as offered."""
    return {
        "workplace.asked": words(("none", *WORKPLACES), t.queries.workplace[t.query] + 1),
        "workplace.job": words(WORKPLACES, t.jobs.workplace[t.job]),
        "workplace.remote_scope": words(REMOTE_SCOPES, t.jobs.scope[t.job]),
    }


def employment(t: Triples) -> Columns:
    """Employment and night shifts, as asked and as offered."""
    asked, offered = t.queries.employment[t.query], t.jobs.employment[t.job]
    shift = t.jobs.shift[t.job]
    night = asked == NIGHT_SHIFT
    # Contract and temporary stand in for each other, and for full time in a pinch.
    passing = np.isin(offered, (2, 3))
    near = passing & np.isin(asked, (0, 2, 3))
    return {
        "employment.asked": words(("none", *EMPLOYMENTS, "night_shift"), asked + 1),
        "employment.job": words(EMPLOYMENTS, offered),
        "employment.relation": chosen(
            "conflict",
            (asked < 0, "none"),
            (night & (shift == 2), "same"),
            (night & (shift == 1), "compatible"),
            (asked == offered, "same"),
            (near, "compatible"),
        ),
    }


def industry(t: Triples) -> Columns:
    """The industry asked for, else the one the member prefers."""
    stated, preferred = t.queries.industry[t.query], t.members.industry[t.member]
    wanted, offered = np.where(stated < 0, preferred, stated), t.jobs.industry[t.job]
    near = t.catalog.industry_adjacent[wanted, offered]
    return {
        "industry.asked": chosen("none", (stated >= 0, "stated"), (preferred >= 0, "member")),
        "industry.relation": chosen(
            "different",
            (wanted < 0, "none"),
            (wanted == offered, "same"),
            (near, "adjacent"),
        ),
    }


def company(t: Triples) -> Columns:
    """The employer asked for against the one who posted."""
    asked, offered = t.queries.company[t.query], t.jobs.company[t.job]
    parent, industry = t.catalog.company_parent, t.catalog.company_industry
    kin = (parent[offered] == asked) | (parent[asked] == offered)
    return {
        "company.asked": asked >= 0,
        "company.relation": chosen(
            "other",
            (asked < 0, "none"),
            (asked == offered, "same"),
            (kin, "subsidiary"),
            (t.jobs.agency[t.job], "agency"),
            (industry[asked] == industry[offered], "competitor"),
        ),
    }


def pay(t: Triples) -> Columns:
    """The asked minimum against the pay range, where the posting states one."""
    asked = t.queries.pay[t.query]
    low, high = t.jobs.pay_low[t.job], t.jobs.pay_high[t.job]
    return {
        "pay.asked": chosen("none", (asked > 0, "minimum")),
        "pay.relation": chosen(
            "below",
            (asked == 0, "none"),
            (~t.jobs.pay_stated[t.job], "not_stated"),
            (low >= asked, "above"),
            (high >= asked, "meets"),
            (10 * high >= 9 * asked, "slightly_below"),
        ),
    }


def language(t: Triples) -> Columns:
    """A language the job requires against the member's."""
    required, spoken = t.jobs.language[t.job], t.members.language[t.member]
    fluency = words(FLUENCY, t.members.fluency[t.member])
    status = np.where(spoken < 0, "unknown", "missing")
    status = np.where(spoken == required, fluency, status)
    return {
        "language.required": chosen("none", (required >= 0, "yes")),
        "language.status": np.where(required < 0, "none", status),
    }


def authorization(t: Triples) -> Columns:
    """Whether a permission to work must be shown, and whether the member has it."""
    policy = t.jobs.authorization[t.job]
    needs = t.members.needs_visa[t.member]
    return {
        "authorization.required": policy > 0,
        "authorization.status": chosen(
            "unknown",
            (policy == 0, "none"),
            (needs & (policy == 2), "sponsored"),
            (needs, "needs_sponsorship"),
            (same_country(t), "authorized"),
        ),
    }


def exclusion(t: Triples) -> Columns:
    """What the query rules out, and whether the job has it."""
    asked = t.queries.exclusion[t.query]
    explicit, weak = _exclusion_hits(t)
    row = np.arange(len(t.job))
    stated = asked >= 0
    return {
        "exclusion.stated": stated,
        "exclusion.hit": chosen(
            "none",
            (stated & explicit[np.maximum(asked, 0), row], "explicit"),
            (stated & weak[np.maximum(asked, 0), row], "weak"),
        ),
    }


def _exclusion_hits(t: Triples) -> tuple[Bools, Bools]:
    """(exclusions, pairs): the job states the excluded thing; the job only implies it."""
    jobs, never = t.jobs, np.zeros(len(t.job), dtype=bool)
    excluded, industry = t.queries.excluded_industry[t.query], jobs.industry[t.job]
    staffing = t.catalog.industries.index("staffing")
    by_name = {
        "agency": (jobs.agency[t.job], industry == staffing),
        "night": (jobs.shift[t.job] == 2, jobs.shift[t.job] == 1),
        "travel": (jobs.travel[t.job] == 2, jobs.travel[t.job] == 1),
        "degree": (jobs.credential[t.job] == t.catalog.degree, jobs.degree_preferred[t.job]),
        "remote": (jobs.workplace[t.job] == 0, jobs.workplace[t.job] == 1),
        "onsite": (jobs.workplace[t.job] == 2, jobs.workplace[t.job] == 1),
        "management": (jobs.level[t.job] >= MANAGER, jobs.level[t.job] == LEAD),
        "commission": (jobs.commission[t.job], never),
        "industry": (
            industry == excluded,
            t.catalog.industry_adjacent[excluded, industry],
        ),
    }
    hits = [by_name[name] for name in EXCLUSIONS]
    return np.stack([hit[0] for hit in hits]), np.stack([hit[1] for hit in hits])


def posting(t: Triples) -> Columns:
    """Age and quality of the posting."""
    return {
        "recency.days": t.jobs.posted_days[t.job],
        "recency.closed": t.jobs.closed[t.job],
        "posting.stuffed": t.jobs.stuffed[t.job],
        "posting.vague": t.jobs.vague[t.job],
    }
