"""Executes a policy's decision tables: the facts of a pair in, grades and cited clauses out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any

from tasks.core.errors import CookbookError
from tasks.core.policies.model import Policy
from tasks.core.policies.table_syntax import Row, Value

_REMEMBERED = 65_536
_NO_CEILING = 1_000  # grades have at most three digits
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


_Values = tuple[Value, ...]
_Step = tuple[str, Callable[[Mapping[str, Value]], _Values], Callable[[_Values], _Verdict]]
_Test = tuple[int, Callable[[Value], Any]]  # position of the fact, condition on its value
_Program = list[tuple[str, list[tuple[list[_Test], Row]]]]  # clause, its rows; one per table


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
    program: _Program = [
        (
            clause,
            [([(names.index(c.fact), c.test) for c in row.conditions], row) for row in table.rows],
        )
        for clause, table in tables
    ]

    @lru_cache(maxsize=_REMEMBERED)
    def judge(values: _Values) -> _Verdict:
        return _judge(program, values)

    return dimension, _picker(names), judge


def _picker(names: tuple[str, ...]) -> Callable[[Mapping[str, Value]], _Values]:
    if len(names) > 1:
        picked: Callable[[Any], _Values] = itemgetter(*names)
        return picked
    return lambda facts: tuple(facts[name] for name in names)  # itemgetter of one gives no tuple


def _judge(program: _Program, values: _Values) -> _Verdict:
    decided: tuple[str, int | None] | None = None
    floor, ceiling = ("", -1), ("", _NO_CEILING)
    for clause, rows in program:
        row = _first_match(rows, values)
        if row is None:
            continue
        if row.verb == "at least" and row.grade is not None:
            floor = (clause, row.grade) if row.grade > floor[1] else floor
        elif row.verb == "at most" and row.grade is not None:
            ceiling = (clause, row.grade) if row.grade < ceiling[1] else ceiling
        elif decided is None:
            decided = clause, row.grade
    return _limited(decided, floor, ceiling)


def _limited(
    decided: tuple[str, int | None] | None, floor: tuple[str, int], ceiling: tuple[str, int]
) -> _Verdict:
    if decided is None:
        return None, ()
    clause, grade = decided
    cited = [clause]
    if grade is not None and floor[1] > grade:
        grade = floor[1]
        cited.append(floor[0])
    if grade is not None and ceiling[1] < grade:
        grade = ceiling[1]
        cited.append(ceiling[0])
    return grade, tuple(cited)


def _first_match(rows: list[tuple[list[_Test], Row]], values: _Values) -> Row | None:
    for tests, row in rows:
        for position, test in tests:
            if not test(values[position]):
                break
        else:
            return row
    return None
