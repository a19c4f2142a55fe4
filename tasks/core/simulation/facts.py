"""The facts of (query, member, job) triples, as columns: what the policy's tables ask about."""

import numpy as np
import numpy.typing as npt

from tasks.core.simulation.catalog import (
    ADJACENT,
    CREDENTIAL_KINDS,
    GENERALIZATION,
    NONE,
    SAME,
    SPECIALIZATION,
    SYNONYM,
    TITLE_RELATIONS,
    Bools,
    Catalog,
    Floats,
    Ints,
)
from tasks.core.simulation.jobs import EMPLOYMENTS, LEAD, MANAGER, REMOTE_SCOPES, WORKPLACES, Jobs
from tasks.core.simulation.members import (
    DEGREE,
    FLUENCY,
    HELD,
    IN_PROGRESS,
    NO_DEGREE,
    OTHER_JURISDICTION,
    Members,
)
from tasks.core.simulation.queries import (
    CITY,
    COUNTRY,
    EXCLUSIONS,
    KINDS,
    NIGHT_SHIFT,
    PLACES_ASKED,
    REGION,
    Queries,
)

Columns = dict[str, npt.NDArray[np.generic]]
_LEVELS_ASKED = (
    "none",
    "intern",
    "junior",
    "mid",
    "senior",
    "lead",
    "manager",
    "director",
    "executive",
)


class FactTable:
    """Computes every fact of the vocabulary for index arrays of queries and jobs.

    The member of a triple is the one who asked, `queries.member`.
    """

    def __init__(self, catalog: Catalog, queries: Queries, members: Members, jobs: Jobs) -> None:
        self._catalog, self._queries, self._members, self._jobs = catalog, queries, members, jobs
        self._covered = members.skills | (members.skills @ catalog.skill_equivalent.T)

    def columns(self, query: Ints, job: Ints) -> Columns:
        """One array per fact, aligned with the indices given (all of one length)."""
        member = self._queries.member[query]
        return {
            **self._intent(query, member),
            **self._title(query, member, job),
            **self._seniority(query, member, job),
            **self._skills(query, member, job),
            **self._experience(member, job),
            **self._credential(member, job),
            **self._place(query, member, job),
            **self._workplace(query, job),
            **self._employment(query, job),
            **self._industry(query, member, job),
            **self._company(query, job),
            **self._pay(query, job),
            **self._language(member, job),
            **self._authorization(member, job),
            **self._exclusion(query, job),
            **self._posting(job),
        }

    def _intent(self, query: Ints, member: Ints) -> Columns:
        asked = self._queries.occupation[query]
        level = self._queries.level[query]
        own = self._catalog.occupations.relation[self._members.occupation[member], asked]
        known = np.isin(own, (SAME, SPECIALIZATION, GENERALIZATION))
        existing = known & (level <= self._members.level[member] + 1)
        return {
            "member.known": np.ones(len(query), dtype=bool),
            "query.kind": _words(KINDS, self._queries.kind[query]),
            "query.intent": _chosen("aspirational", (asked < 0, "none"), (existing, "existing")),
        }

    def _title(self, query: Ints, member: Ints, job: Ints) -> Columns:
        asked, offered = self._queries.occupation[query], self._jobs.occupation[job]
        occupations = self._catalog.occupations
        relation = occupations.relation[asked, offered]
        same_words = self._queries.surface[query] == self._jobs.surface[job]
        relation = np.where((relation == SAME) & ~same_words, SYNONYM, relation)
        relation = np.where(asked < 0, NONE, relation)
        reference = np.where(asked < 0, self._members.occupation[member], asked)
        family = occupations.family[reference]
        near = self._catalog.family_related[family, occupations.family[offered]]
        return {
            "title.relation": _words(TITLE_RELATIONS, relation),
            "title.support_role": (asked >= 0) & occupations.supports[asked, offered],
            "function.relation": _chosen(
                "different",
                (family == occupations.family[offered], "same"),
                (near, "adjacent"),
            ),
        }

    def _seniority(self, query: Ints, member: Ints, job: Ints) -> Columns:
        asked, offered = self._queries.level[query], self._jobs.level[job]
        return {
            "seniority.asked": _words(_LEVELS_ASKED, asked + 1),
            "seniority.gap": np.where(asked < 0, 0, offered - asked),
            "seniority.member_gap": offered - self._members.level[member],
        }

    def _skills(self, query: Ints, member: Ints, job: Ints) -> Columns:
        asked = self._queries.skills[query]
        required, preferred = self._jobs.required[job], self._jobs.preferred[job]
        has = self._covered[member]
        return {
            "skills.asked": (asked >= 0).sum(axis=1),
            "skills.asked_met": self._asked_met(asked, job),
            "skills.required": (required >= 0).sum(axis=1),
            "skills.required_share": _share_held(has, required),
            "skills.preferred_share": _share_held(has, preferred),
        }

    def _asked_met(self, asked: Ints, job: Ints) -> npt.NDArray[np.generic]:
        offered = np.concatenate([self._jobs.required[job], self._jobs.preferred[job]], axis=1)
        named = asked >= 0
        exact = (asked[:, :, None] == offered[:, None, :]).any(axis=2)
        alike = self._catalog.skill_equivalent[asked[:, :, None], offered[:, None, :]]
        near = (alike & (offered >= 0)[:, None, :]).any(axis=2)
        refused = (named & (asked == self._jobs.dropped_skill[job][:, None])).any(axis=1)
        return _chosen(
            "missing",
            (~named.any(axis=1), "none"),
            (refused, "contradicted"),
            ((exact | ~named).all(axis=1), "all"),
            ((exact | near | ~named).all(axis=1), "equivalent"),
            (((exact | near) & named).any(axis=1), "some"),
        )

    def _experience(self, member: Ints, job: Ints) -> Columns:
        relation = self._catalog.occupations.relation[
            self._members.occupation[member], self._jobs.occupation[job]
        ]
        years, required = self._members.years[member], self._jobs.years[job]
        own = np.isin(relation, (SAME, SPECIALIZATION, GENERALIZATION))
        relevant = np.where(own, years, np.where(relation == ADJACENT, years // 2, 0))
        return {
            "experience.required_years": required,
            "experience.gap_years": required - relevant,
            "experience.transferable": relation == ADJACENT,
        }

    def _credential(self, member: Ints, job: Ints) -> Columns:
        required, held = self._jobs.credential[job], self._members.credential[member]
        status = self._members.credential_status[member]
        kind = np.where(required < 0, 0, self._catalog.credential_kind[required])
        abroad = self._catalog.credential_regional[required] & ~self._same_country(member, job)
        own = held == required
        degree = self._members.degree[member]
        academic = required == self._catalog.degree
        stands_in = (held >= 0) & (status == HELD)
        stands_in &= self._catalog.credential_equivalent[required, held]
        return {
            "credential.required": _words(CREDENTIAL_KINDS, kind),
            "credential.status": _chosen(
                "missing",
                (required < 0, "none"),
                (academic & (degree == DEGREE), "held"),
                (academic & (degree == NO_DEGREE), "missing"),
                (academic, "unknown"),
                (own & (status == IN_PROGRESS), "in_progress"),
                (own & (status == OTHER_JURISDICTION), "other_jurisdiction"),
                (own & (status == HELD) & abroad, "other_jurisdiction"),
                (own & (status == HELD), "held"),
                (own, "unknown"),
                (stands_in, "equivalent"),
            ),
        }

    def _same_country(self, member: Ints, job: Ints) -> Bools:
        country = self._catalog.places.country_id
        same: Bools = country[self._members.place[member]] == country[self._jobs.place[job]]
        return same

    def _place(self, query: Ints, member: Ints, job: Ints) -> Columns:
        """Distance from the asked place, else from the member's; a wide ask counts its edge as 0."""
        places = self._catalog.places
        kind = self._queries.place_kind[query]
        named = np.isin(kind, (CITY, REGION, COUNTRY))
        start = np.where(named, self._queries.place[query], self._members.place[member])
        site = self._jobs.place[job]
        region = places.region_id[start] == places.region_id[site]
        country = places.country_id[start] == places.country_id[site]
        remote, scope = self._jobs.workplace[job] == 0, self._jobs.scope[job]
        inside = remote | ((kind == REGION) & region) | ((kind == COUNTRY) & country)
        worldwide = remote & (scope == REMOTE_SCOPES.index("worldwide"))
        nationwide = (remote & (scope == REMOTE_SCOPES.index("country"))) | (kind == COUNTRY)
        return {
            "place.asked": _words(PLACES_ASKED, kind),
            "place.distance_km": np.where(inside, 0, places.distance[start, site]),
            "place.same_region": region | worldwide | (nationwide & country),
            "place.same_country": country | worldwide,
            "place.member_relocates": self._members.relocates[member],
        }

    def _workplace(self, query: Ints, job: Ints) -> Columns:
        return {
            "workplace.asked": _words(("none", *WORKPLACES), self._queries.workplace[query] + 1),
            "workplace.job": _words(WORKPLACES, self._jobs.workplace[job]),
            "workplace.remote_scope": _words(REMOTE_SCOPES, self._jobs.scope[job]),
        }

    def _employment(self, query: Ints, job: Ints) -> Columns:
        asked, offered = self._queries.employment[query], self._jobs.employment[job]
        shift = self._jobs.shift[job]
        night = asked == NIGHT_SHIFT
        # Contract and temporary stand in for each other, and for full time in a pinch.
        passing = np.isin(offered, (2, 3))
        near = passing & np.isin(asked, (0, 2, 3))
        return {
            "employment.asked": _words(("none", *EMPLOYMENTS, "night_shift"), asked + 1),
            "employment.job": _words(EMPLOYMENTS, offered),
            "employment.relation": _chosen(
                "conflict",
                (asked < 0, "none"),
                (night & (shift == 2), "same"),
                (night & (shift == 1), "compatible"),
                (asked == offered, "same"),
                (near, "compatible"),
            ),
        }

    def _industry(self, query: Ints, member: Ints, job: Ints) -> Columns:
        stated, preferred = self._queries.industry[query], self._members.industry[member]
        wanted, offered = np.where(stated < 0, preferred, stated), self._jobs.industry[job]
        near = self._catalog.industry_adjacent[wanted, offered]
        return {
            "industry.asked": _chosen("none", (stated >= 0, "stated"), (preferred >= 0, "member")),
            "industry.relation": _chosen(
                "different",
                (wanted < 0, "none"),
                (wanted == offered, "same"),
                (near, "adjacent"),
            ),
        }

    def _company(self, query: Ints, job: Ints) -> Columns:
        asked, offered = self._queries.company[query], self._jobs.company[job]
        parent, industry = self._catalog.company_parent, self._catalog.company_industry
        kin = (parent[offered] == asked) | (parent[asked] == offered)
        return {
            "company.asked": asked >= 0,
            "company.relation": _chosen(
                "other",
                (asked < 0, "none"),
                (asked == offered, "same"),
                (kin, "subsidiary"),
                (self._jobs.agency[job], "agency"),
                (industry[asked] == industry[offered], "competitor"),
            ),
        }

    def _pay(self, query: Ints, job: Ints) -> Columns:
        asked = self._queries.pay[query]
        low, high = self._jobs.pay_low[job], self._jobs.pay_high[job]
        return {
            "pay.asked": _chosen("none", (asked > 0, "minimum")),
            "pay.relation": _chosen(
                "below",
                (asked == 0, "none"),
                (~self._jobs.pay_stated[job], "not_stated"),
                (low >= asked, "above"),
                (high >= asked, "meets"),
                (10 * high >= 9 * asked, "slightly_below"),
            ),
        }

    def _language(self, member: Ints, job: Ints) -> Columns:
        required, spoken = self._jobs.language[job], self._members.language[member]
        fluency = _words(FLUENCY, self._members.fluency[member])
        status = np.where(spoken < 0, "unknown", "missing")
        status = np.where(spoken == required, fluency, status)
        return {
            "language.required": _chosen("none", (required >= 0, "yes")),
            "language.status": np.where(required < 0, "none", status),
        }

    def _authorization(self, member: Ints, job: Ints) -> Columns:
        policy = self._jobs.authorization[job]
        needs = self._members.needs_visa[member]
        return {
            "authorization.required": policy > 0,
            "authorization.status": _chosen(
                "unknown",
                (policy == 0, "none"),
                (needs & (policy == 2), "sponsored"),
                (needs, "needs_sponsorship"),
                (self._same_country(member, job), "authorized"),
            ),
        }

    def _exclusion(self, query: Ints, job: Ints) -> Columns:
        asked = self._queries.exclusion[query]
        explicit, weak = self._exclusion_hits(query, job)
        row = np.arange(len(job))
        stated = asked >= 0
        return {
            "exclusion.stated": stated,
            "exclusion.hit": _chosen(
                "none",
                (stated & explicit[np.maximum(asked, 0), row], "explicit"),
                (stated & weak[np.maximum(asked, 0), row], "weak"),
            ),
        }

    def _exclusion_hits(self, query: Ints, job: Ints) -> tuple[Bools, Bools]:
        """(exclusions, pairs): the job states the excluded thing; the job only implies it."""
        jobs, never = self._jobs, np.zeros(len(job), dtype=bool)
        excluded, industry = self._queries.excluded_industry[query], jobs.industry[job]
        staffing = self._catalog.industries.index("staffing")
        by_name = {
            "agency": (jobs.agency[job], industry == staffing),
            "night": (jobs.shift[job] == 2, jobs.shift[job] == 1),
            "travel": (jobs.travel[job] == 2, jobs.travel[job] == 1),
            "degree": (jobs.credential[job] == self._catalog.degree, jobs.degree_preferred[job]),
            "remote": (jobs.workplace[job] == 0, jobs.workplace[job] == 1),
            "onsite": (jobs.workplace[job] == 2, jobs.workplace[job] == 1),
            "management": (jobs.level[job] >= MANAGER, jobs.level[job] == LEAD),
            "commission": (jobs.commission[job], never),
            "industry": (
                industry == excluded,
                self._catalog.industry_adjacent[excluded, industry],
            ),
        }
        hits = [by_name[name] for name in EXCLUSIONS]
        return np.stack([hit[0] for hit in hits]), np.stack([hit[1] for hit in hits])

    def _posting(self, job: Ints) -> Columns:
        return {
            "recency.days": self._jobs.posted_days[job],
            "recency.closed": self._jobs.closed[job],
            "posting.stuffed": self._jobs.stuffed[job],
            "posting.vague": self._jobs.vague[job],
        }


def _words(vocabulary: tuple[str, ...], codes: Ints) -> npt.NDArray[np.generic]:
    return np.array(vocabulary)[codes]


def _chosen(otherwise: str, *cases: tuple[Bools, str]) -> npt.NDArray[np.generic]:
    """The word of the first case that holds in each row."""
    return np.select([case for case, _ in cases], [word for _, word in cases], otherwise)


def _share_held(has: Bools, skills: Ints) -> Floats:
    """Share of the listed skills a member has, rounded to 2 digits; 1.0 where none is listed."""
    listed = skills >= 0
    held = np.take_along_axis(has, np.maximum(skills, 0), axis=1) & listed
    count = listed.sum(axis=1)
    share: Floats = np.where(count == 0, 1.0, held.sum(axis=1) / np.maximum(count, 1))
    return np.round(share, 2)
