"""Executes a policy's decision tables: the facts of a pair in, grades and cited clauses out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any

from tasks.core.errors import CookbookError
from tasks.core.policies.model import Policy
from tasks.core.policies.table_syntax import DecisionTable, Row, Value

_REMEMBERED = 65_536
_Verdict = tuple[int | None, tuple[str, ...]]


@dataclass(frozen=True)
class Decision:
    """Grades per dimension (None: does not apply), the clauses that made them, overall grade.

    `clauses` holds those that decided a dimension (also as not applicable) and those that
    moved its grade; a clause that spoke without effect is not cited.
    """

    dimension_grades: dict[str, int | None]
    clauses: tuple[str, ...]
    grade: int


def decide(policy: Policy, facts: Mapping[str, Value]) -> Decision:
    """Grade one pair by executing the tables of `policy` over its facts.

    Per dimension, in document order: the first `grade` or `n/a` decides; then the highest
    `at least` raises; then the lowest `at most` lowers. With `grade 4` and `at most 2`: 2.

    Raises:
        CookbookError: a fact that a table asks about is missing, or no dimension applies.
    """
    grades: dict[str, int | None] = {}
    cited: list[str] = []
    try:
        for dimension, pick, judge in _program(policy):
            grades[dimension], clauses = judge(pick(facts))
            cited += clauses
    except KeyError as error:
        raise CookbookError(
            f"policy {policy.name}: expected a value for the fact {error.args[0]}, got none; "
            "give every fact that the tables ask about."
        ) from None
    return Decision(grades, tuple(cited), policy.aggregate(grades))


_Step = tuple[
    str, Callable[[Mapping[str, Value]], tuple[Value, ...]], Callable[[tuple[Value, ...]], _Verdict]
]


@lru_cache(maxsize=16)
def _program(policy: Policy) -> tuple[_Step, ...]:
    """One step per dimension, compiled once per policy object."""
    return tuple(_compile(policy, dimension.id) for dimension in policy.dimensions)


def _compile(policy: Policy, dimension: str) -> _Step:
    """A dimension's grade depends only on the facts its tables name: remember it by those."""
    tables = [
        (clause.id, table)
        for clause in policy.clauses
        if clause.dimension == dimension
        for table in clause.tables
    ]
    names = tuple(dict.fromkeys(name for _, table in tables for name in table.fact_names))

    @lru_cache(maxsize=_REMEMBERED)
    def judge(values: tuple[Value, ...]) -> _Verdict:
        return _judge(tables, dict(zip(names, values, strict=True)))

    return dimension, _picker(names), judge


def _picker(names: tuple[str, ...]) -> Callable[[Mapping[str, Value]], tuple[Value, ...]]:
    if len(names) > 1:
        picked: Callable[[Any], tuple[Value, ...]] = itemgetter(*names)
        return picked
    return lambda facts: tuple(facts[name] for name in names)  # itemgetter of one gives no tuple


def _judge(tables: list[tuple[str, DecisionTable]], facts: dict[str, Value]) -> _Verdict:
    spoken = [
        (clause, row) for clause, table in tables if (row := first_match(table, facts)) is not None
    ]
    decided = next((entry for entry in spoken if entry[1].verb in ("grade", "n/a")), None)
    if decided is None:
        return None, ()
    clause, row = decided
    if row.grade is None:
        return None, (clause,)
    grade, cited = row.grade, [clause]
    for verb, pick in (("at least", max), ("at most", min)):
        limits = [(r.grade, name) for name, r in spoken if r.verb == verb and r.grade is not None]
        bound = pick((limit for limit, _ in limits), default=grade)
        if pick(bound, grade) != grade:
            grade = bound
            cited.append(next(name for limit, name in limits if limit == bound))
    return grade, tuple(cited)


def first_match(table: DecisionTable, facts: Mapping[str, Value]) -> Row | None:
    """The first row whose conditions all hold, or None where the table is silent."""
    for row in table.rows:
        if all(condition.holds(facts[condition.fact]) for condition in row.conditions):
            return row
    return None
