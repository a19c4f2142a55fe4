"""Executes a policy over columns of facts: what `decide` does to one pair, done to many at once."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.core.errors import CookbookError
from tasks.core.policies.model import Policy
from tasks.core.policies.table_syntax import Comparison, DecisionTable
from tasks.core.simulation.catalog import Bools, Floats, Ints
from tasks.core.simulation.triples import Columns

NOT_APPLICABLE = -1
_SILENT = -2


@dataclass(frozen=True, eq=False)
class Grades:
    """Truth of many pairs: overall grades, the mean before rounding, and each dimension's."""

    grade: Ints
    mean: Floats
    dimensions: dict[str, Ints]  # NOT_APPLICABLE where the dimension does not apply


def grade_columns(policy: Policy, columns: Columns) -> Grades:
    """Grade every row of `columns`; equal to decide(policy, row).grade, without its citations.

    `mean` is the weighted mean of the grades that apply, before rounding and caps.

    Raises:
        CookbookError: the tables ask about a fact that is no column, or no dimension applies.
    """
    _check_facts(policy, columns)
    rows = len(next(iter(columns.values())))
    dimensions = {
        dimension.id: _dimension(policy, dimension.id, columns, rows)
        for dimension in policy.dimensions
    }
    total = np.zeros(rows, dtype=np.int64)
    weights = np.zeros(rows, dtype=np.int64)
    for name, weight in policy.integer_weights.items():
        applies = dimensions[name] >= 0
        total += np.where(applies, weight * dimensions[name], 0)
        weights += np.where(applies, weight, 0)
    if not weights.all():
        raise CookbookError(
            f"policy {policy.name}: expected at least one dimension that applies to every pair, "
            f"got none for {int((weights == 0).sum())} of {rows}; add a clause that grades them."
        )
    grade = (2 * total + weights) // (2 * weights)
    for cap in policy.caps:
        reached = dimensions[cap.dimension]
        capped = (reached >= 0) & (reached <= cap.at_most)
        grade = np.where(capped, np.minimum(grade, cap.overall_at_most), grade)
    return Grades(grade, total / weights, dimensions)


def _check_facts(policy: Policy, columns: Columns) -> None:
    asked = {
        name for clause in policy.clauses for table in clause.tables for name in table.fact_names
    }
    if unknown := sorted(asked - columns.keys()):
        raise CookbookError(
            f"policy {policy.name}: expected tables over facts that the simulator knows, got "
            f"{', '.join(unknown)}; use the facts of the shipped policy."
        )


def _dimension(policy: Policy, dimension: str, columns: Columns, rows: int) -> Ints:
    """First verdict decides, then the highest `at least` raises, then the lowest `at most`."""
    decided = np.full(rows, _SILENT, dtype=np.int64)
    floor = np.full(rows, _SILENT, dtype=np.int64)
    ceiling = np.full(rows, policy.grade_count, dtype=np.int64)
    for clause in policy.clauses:
        for table in clause.tables if clause.dimension == dimension else ():
            for verb, grade, spoken in _spoken(table, columns, rows):
                if verb in ("grade", "n/a"):
                    value = NOT_APPLICABLE if grade is None else grade
                    decided[spoken & (decided == _SILENT)] = value
                elif grade is not None and verb == "at least":
                    floor[spoken] = np.maximum(floor[spoken], grade)
                elif grade is not None:
                    ceiling[spoken] = np.minimum(ceiling[spoken], grade)
    limited = np.minimum(np.maximum(decided, floor), ceiling)
    return np.where(decided < 0, NOT_APPLICABLE, limited)


def _spoken(
    table: DecisionTable, columns: Columns, rows: int
) -> list[tuple[str, int | None, Bools]]:
    """Verb, grade and the rows for which each line of the table is the first that matches."""
    open_rows = np.ones(rows, dtype=bool)
    spoken: list[tuple[str, int | None, Bools]] = []
    for row in table.rows:
        matched = open_rows.copy()
        for condition in row.conditions:
            matched &= _holds(condition, columns[condition.fact])
        spoken.append((row.verb, row.grade, matched))
        open_rows &= ~matched
    return spoken


def _holds(condition: Comparison, column: npt.NDArray[np.generic]) -> Bools:
    first = np.asarray(condition.values[0])
    match condition.operator:
        case "in":
            held: Bools = np.isin(column, np.array(condition.values))
        case "=":
            held = np.equal(column, first)
        case "!=":
            held = np.not_equal(column, first)
        case "<":
            held = np.less(column, first)
        case "<=":
            held = np.less_equal(column, first)
        case ">":
            held = np.greater(column, first)
        case _:
            held = np.greater_equal(column, first)
    return held
