"""Facts of fit: title, seniority, skills, experience, credentials."""

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
    Ints,
)
from tasks.core.simulation.members import (
    DEGREE,
    HELD,
    IN_PROGRESS,
    NO_DEGREE,
    OTHER_JURISDICTION,
)
from tasks.core.simulation.queries import KINDS
from tasks.core.simulation.triples import (
    Columns,
    Triples,
    chosen,
    same_country,
    share_held,
    words,
)

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


def intent(t: Triples) -> Columns:
    """What kind of query it is, and whether the member would change occupation."""
    asked = t.queries.occupation[t.query]
    level = t.queries.level[t.query]
    own = t.catalog.occupations.relation[t.members.occupation[t.member], asked]
    known = np.isin(own, (SAME, SPECIALIZATION, GENERALIZATION))
    existing = known & (level <= t.members.level[t.member] + 1)
    return {
        "member.known": np.ones(len(t.query), dtype=bool),
        "query.kind": words(KINDS, t.queries.kind[t.query]),
        "query.intent": chosen("aspirational", (asked < 0, "none"), (existing, "existing")),
    }


def title(t: Triples) -> Columns:
    """Kinship of the asked occupation and the job's."""
    asked: Ints = t.queries.occupation[t.query]
    offered = t.jobs.occupation[t.job]
    occupations = t.catalog.occupations
    relation = occupations.relation[asked, offered]
    same_words = t.queries.surface[t.query] == t.jobs.surface[t.job]
    relation = np.where((relation == SAME) & ~same_words, SYNONYM, relation)
    relation = np.where(asked < 0, NONE, relation)
    reference = np.where(asked < 0, t.members.occupation[t.member], asked)
    family = occupations.family[reference]
    near = t.catalog.family_related[family, occupations.family[offered]]
    return {
        "title.relation": words(TITLE_RELATIONS, relation),
        "title.support_role": (asked >= 0) & occupations.supports[asked, offered],
        "function.relation": chosen(
            "different",
            (family == occupations.family[offered], "same"),
            (near, "adjacent"),
        ),
    }


def seniority(t: Triples) -> Columns:
    """Levels: the job's less the asked one, and less the member's."""
    asked, offered = t.queries.level[t.query], t.jobs.level[t.job]
    return {
        "seniority.asked": words(_LEVELS_ASKED, asked + 1),
        "seniority.gap": np.where(asked < 0, 0, offered - asked),
        "seniority.member_gap": offered - t.members.level[t.member],
    }


def skills(t: Triples) -> Columns:
    """Asked skills in the job, and required skills in the member."""
    asked = t.queries.skills[t.query]
    required, preferred = t.jobs.required[t.job], t.jobs.preferred[t.job]
    has = t.covered[t.member]
    return {
        "skills.asked": (asked >= 0).sum(axis=1),
        "skills.asked_met": _asked_met(t, asked),
        "skills.required": (required >= 0).sum(axis=1),
        "skills.required_share": share_held(has, required),
        "skills.preferred_share": share_held(has, preferred),
    }


def _asked_met(t: Triples, asked: Ints) -> npt.NDArray[np.generic]:
    offered = np.concatenate([t.jobs.required[t.job], t.jobs.preferred[t.job]], axis=1)
    named = asked >= 0
    exact = (asked[:, :, None] == offered[:, None, :]).any(axis=2)
    alike = t.catalog.skill_equivalent[asked[:, :, None], offered[:, None, :]]
    near = (alike & (offered >= 0)[:, None, :]).any(axis=2)
    refused = (named & (asked == t.jobs.dropped_skill[t.job][:, None])).sum(axis=1) > 0
    return chosen(
        "missing",
        (named.sum(axis=1) == 0, "none"),
        (refused, "contradicted"),
        ((exact | ~named).all(axis=1), "all"),
        ((exact | near | ~named).all(axis=1), "equivalent"),
        (((exact | near) & named).any(axis=1), "some"),
    )


def experience(t: Triples) -> Columns:
    """Required years against the member's; a neighbor's years count half."""
    relation = t.catalog.occupations.relation[
        t.members.occupation[t.member], t.jobs.occupation[t.job]
    ]
    years, required = t.members.years[t.member], t.jobs.years[t.job]
    own = np.isin(relation, (SAME, SPECIALIZATION, GENERALIZATION))
    relevant = np.where(own, years, np.where(relation == ADJACENT, years // 2, 0))
    return {
        "experience.required_years": required,
        "experience.gap_years": required - relevant,
        "experience.transferable": relation == ADJACENT,
    }


def credential(t: Triples) -> Columns:
    """The paper the job requires, and whether the member has it."""
    required, held = t.jobs.credential[t.job], t.members.credential[t.member]
    status = t.members.credential_status[t.member]
    kind = np.where(required < 0, 0, t.catalog.credential_kind[required])
    abroad = t.catalog.credential_regional[required] & ~same_country(t)
    own = held == required
    degree = t.members.degree[t.member]
    academic = required == t.catalog.degree
    stands_in = (held >= 0) & (status == HELD)
    stands_in &= t.catalog.credential_equivalent[required, held]
    return {
        "credential.required": words(CREDENTIAL_KINDS, kind),
        "credential.status": chosen(
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
