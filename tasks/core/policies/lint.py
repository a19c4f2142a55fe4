"""What is wrong with a policy that parses: findings for the people who write it.

The parser already refuses what has no meaning (repeated ids, a dimension without clauses,
unknown facts); here stands what has a meaning that nobody can have wanted.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from tasks.core.policies.model import Cap, Clause, Policy, Precedent
from tasks.core.policies.table_syntax import DecisionTable, Fact, Value

_MAX_COMBINATIONS = 200_000


@dataclass(frozen=True)
class Finding:
    """One thing to mend: a stable code, where it stands, and what to do."""

    code: str
    where: str
    message: str


def lint(policy: Policy) -> list[Finding]:
    """All findings about weights, caps, precedents and table rows; empty where nothing is wrong."""
    return [
        *_weight_findings(policy),
        *(finding for cap in policy.caps for finding in _cap_findings(policy, cap)),
        *(finding for p in policy.precedents for finding in _precedent_findings(policy, p)),
        *_contradictions(policy),
        *(finding for clause in policy.clauses for finding in _row_findings(policy, clause)),
    ]


def _weight_findings(policy: Policy) -> Iterator[Finding]:
    total = math.fsum(d.weight for d in policy.dimensions)
    if abs(total - 1) > 1e-9:
        yield Finding(
            "weights", "dimensions", f"the weights sum to {total:.6g}, expected 1; adjust them."
        )


def _cap_findings(policy: Policy, cap: Cap) -> Iterator[Finding]:
    where = f"cap on {cap.dimension} at most {cap.at_most}"
    top = policy.grade_count - 1
    grades = {d.id: top for d in policy.dimensions} | {cap.dimension: cap.at_most}
    total = sum(weight * grades[name] for name, weight in policy.integer_weights.items())
    weights = sum(policy.integer_weights.values())
    if (2 * total + weights) // (2 * weights) <= cap.overall_at_most:
        yield Finding(
            "cap_never_lowers",
            where,
            f"with every other dimension at {top} the overall grade is already at most "
            f"{cap.overall_at_most}; lower the cap or delete it.",
        )
    if any(_covers(other, cap) for other in policy.caps if other is not cap):
        yield Finding("cap_covered", where, "another cap is at least as strict; delete this one.")
    lowest = _lowest_grade(policy, cap.dimension)
    if lowest is not None and lowest > cap.at_most:
        yield Finding(
            "cap_unreachable",
            where,
            f"no decision table gives {cap.dimension} less than {lowest}; add the row or delete "
            "the cap.",
        )


def _covers(other: Cap, cap: Cap) -> bool:
    return (
        other.dimension == cap.dimension
        and other.at_most >= cap.at_most
        and other.overall_at_most <= cap.overall_at_most
    )


def _lowest_grade(policy: Policy, dimension: str) -> int | None:
    """Lowest grade that a row can give or leave; None where the dimension has no tables."""
    grades = [
        row.grade
        for clause in policy.clauses
        if clause.dimension == dimension
        for table in clause.tables
        for row in table.rows
        if row.verb in ("grade", "at most") and row.grade is not None
    ]
    return min(grades, default=None)


def _precedent_findings(policy: Policy, precedent: Precedent) -> Iterator[Finding]:
    where = f"precedent {precedent.query!r} / {precedent.pair!r}"
    known = {clause.id: clause for clause in policy.clauses}
    for name in precedent.clauses:
        if name not in known:
            yield Finding("unknown_clause", where, f"cites {name}, which does not exist.")
        elif precedent.dimension_grades[known[name].dimension] is None and not _may_excuse(
            known[name]
        ):
            yield Finding(
                "idle_citation",
                where,
                f"cites {name}, yet {known[name].dimension} does not apply; grade it or do not "
                "cite it.",
            )
    expected = policy.aggregate(precedent.dimension_grades)
    if expected != precedent.grade:
        yield Finding(
            "precedent_grade",
            where,
            f"states grade {precedent.grade}, but its dimensions aggregate to {expected}.",
        )


def _may_excuse(clause: Clause) -> bool:
    """Whether the clause can declare its dimension not applicable (prose alone always can)."""
    rows = [row for table in clause.tables for row in table.rows]
    return not rows or any(row.verb == "n/a" for row in rows)


def _contradictions(policy: Policy) -> Iterator[Finding]:
    twins: dict[tuple[str, str], list[Precedent]] = defaultdict(list)
    for precedent in policy.precedents:
        key = " ".join(precedent.query.lower().split()), " ".join(precedent.pair.lower().split())
        twins[key].append(precedent)
    for (query, pair), group in twins.items():
        first = group[0]
        for other in group[1:]:
            if (other.grade, other.dimension_grades) != (first.grade, first.dimension_grades):
                yield Finding(
                    "contradiction",
                    f"precedent {query!r} / {pair!r}",
                    f"graded {first.grade} and again {other.grade} elsewhere; keep one.",
                )


def _row_findings(policy: Policy, clause: Clause) -> Iterator[Finding]:
    facts = {fact.name: fact for fact in policy.facts}
    for table in clause.tables:
        reached = reachable_rows(table, facts)
        if reached is None:
            yield Finding(
                "wide_table", clause.id, "asks about too many facts to check; split the table."
            )
            continue
        for number, row in enumerate(table.rows):
            if number not in reached:
                yield Finding(
                    "unreachable_row",
                    clause.id,
                    f"row {number + 1} ({row.source}) never speaks: an earlier row always matches "
                    "first, or its conditions exclude each other; move or delete it.",
                )


def reachable_rows(table: DecisionTable, facts: dict[str, Fact]) -> set[int] | None:
    """Indexes of rows that speak for some values of the facts; None where too many to try."""
    names = table.fact_names
    options = [_representatives(table, facts[name]) for name in names]
    if math.prod(map(len, options)) > _MAX_COMBINATIONS:
        return None
    reached: set[int] = set()
    for values in product(*options):
        assignment = dict(zip(names, values, strict=True))
        for number, row in enumerate(table.rows):
            if all(c.holds(assignment[c.fact]) for c in row.conditions):
                reached.add(number)
                break
    return reached


def _representatives(table: DecisionTable, fact: Fact) -> list[Value]:
    """Values of the fact that tell all its conditions apart: around each threshold."""
    if fact.kind == "word":
        return list(fact.values)
    if fact.kind == "flag":
        return [True, False]
    step = 1 if fact.kind == "integer" else 1e-6
    thresholds = {
        value
        for row in table.rows
        for condition in row.conditions
        if condition.fact == fact.name
        for value in condition.values
        if not isinstance(value, str)
    }
    return sorted({t + shift for t in thresholds for shift in (-step, 0, step)})
