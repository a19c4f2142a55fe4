"""The language of decision tables: `when` conditions over facts, `then` a verdict.

docs/policy.md describes the syntax for the people who write it.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal, NoReturn

from tasks.core.errors import CookbookError
from tasks.core.policies.markdown import TableRow, split_table

Value = str | int | float | bool
FactKind = Literal["word", "integer", "number", "flag"]
Operator = Literal["=", "!=", "<", "<=", ">", ">=", "in"]
Verb = Literal["grade", "at most", "at least", "n/a"]

# Sides swapped, so that a partial can hold the right-hand side: `fact < 5` is `5 > fact`.
_MIRRORED: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.gt,
    "<=": operator.ge,
    ">": operator.lt,
    ">=": operator.le,
}
_COMPARISON = re.compile(r"([A-Za-z][\w.]*)\s*(!=|<=|>=|=|<|>)\s*([\w.+-]+)")
_MEMBERSHIP = re.compile(r"([A-Za-z][\w.]*)\s+in\s*\{([^{}]*)\}")
_VERDICT = re.compile(r"(grade|at most|at least)\s+([0-9]{1,3})")
_NUMBER = re.compile(r"[+-]?[0-9]{1,9}(\.[0-9]{1,9})?")


@dataclass(frozen=True)
class Fact:
    """A named fact that tables may ask about; `values` lists the words a word fact can take."""

    name: str
    kind: FactKind
    values: tuple[str, ...]
    meaning: str


@dataclass(frozen=True)
class Comparison:
    """`fact operator value`; several values only with the operator `in`."""

    fact: str
    operator: Operator
    values: tuple[Value, ...]

    @cached_property
    def test(self) -> Callable[[Value], Any]:
        """Tells whether a value of the fact meets the condition; built for speed."""
        if self.operator == "in":
            return frozenset(self.values).__contains__
        return partial(_MIRRORED[self.operator], self.values[0])

    def holds(self, value: Value) -> bool:
        """Whether the fact, having this value, meets the condition."""
        return bool(self.test(value))


@dataclass(frozen=True)
class Row:
    """Where all conditions hold (none: `otherwise`), the verdict is spoken."""

    conditions: tuple[Comparison, ...]
    verb: Verb
    grade: int | None
    source: str


@dataclass(frozen=True)
class DecisionTable:
    """Rows in document order; the first row that matches speaks, the others are silent."""

    rows: tuple[Row, ...]

    @property
    def fact_names(self) -> tuple[str, ...]:
        """The facts this table asks about, each once, in the order of their first use."""
        asked = (condition.fact for row in self.rows for condition in row.conditions)
        return tuple(dict.fromkeys(asked))


def parse_table(
    source: str, where: str, facts: Mapping[str, Fact], grade_count: int
) -> DecisionTable:
    """Parse the body of one ```decide block; `where` names file and clause in errors.

    Raises:
        CookbookError: a malformed table, an unknown fact or value, a grade off the scale.
    """
    columns, table_rows = split_table(source.splitlines(), where)
    if columns != ("when", "then"):
        raise CookbookError(
            f"{where}: expected a decision table with the columns when and then, got "
            f"{', '.join(columns) or 'none'}; rename the columns."
        )
    rows = tuple(_parse_row(row, where, facts, grade_count) for row in table_rows)
    if not rows:
        raise CookbookError(
            f"{where}: expected at least one row in the decision table, got none; "
            "add a row or delete the block."
        )
    return DecisionTable(rows)


def _parse_row(row: TableRow, where: str, facts: Mapping[str, Fact], grade_count: int) -> Row:
    place = f"{where}, row {row.number}"
    when, then = row.cells["when"], row.cells["then"]
    conditions = () if when == "otherwise" else _parse_conditions(when, place, facts)
    verb, grade = _parse_verdict(then, place, grade_count)
    return Row(conditions, verb, grade, f"{when} | {then}")


def _parse_conditions(when: str, place: str, facts: Mapping[str, Fact]) -> tuple[Comparison, ...]:
    return tuple(_parse_comparison(part, place, facts) for part in re.split(r"\s+and\s+", when))


def _parse_comparison(part: str, place: str, facts: Mapping[str, Fact]) -> Comparison:
    if match := _MEMBERSHIP.fullmatch(part):
        name, listed = match.groups()
        symbol, words = "in", [word.strip() for word in listed.split(",")]
    elif match := _COMPARISON.fullmatch(part):
        name, symbol, word = match.groups()
        words = [word]
    else:
        raise CookbookError(
            f"{place}: expected `fact = value` (or !=, <, <=, >, >=, in {{a, b}}) joined by "
            f"`and`, or `otherwise`, got {part!r}; rewrite the condition."
        )
    fact = facts.get(name) or _reject_unknown_fact(name, place)
    if symbol in ("<", "<=", ">", ">=") and fact.kind in ("word", "flag"):
        raise CookbookError(
            f"{place}: expected a number for the operator {symbol}, but {name} is no number; "
            "use =, != or in."
        )
    values = tuple(_parse_value(word, fact, place) for word in words)
    return Comparison(name, symbol, values)  # type: ignore[arg-type]  # the patterns list it


def _reject_unknown_fact(name: str, place: str) -> NoReturn:
    raise CookbookError(
        f"{place}: expected a fact listed under `## Facts`, got {name}; mend the name or "
        "add the fact to that table."
    )


def _parse_value(word: str, fact: Fact, place: str) -> Value:
    if fact.kind == "flag" and word in ("true", "false"):
        return word == "true"
    if fact.kind == "integer" and _NUMBER.fullmatch(word) and "." not in word:
        return int(word)
    if fact.kind == "number" and _NUMBER.fullmatch(word):
        return float(word)
    if fact.kind == "word" and word in fact.values:
        return word
    raise CookbookError(
        f"{place}: expected {_describe(fact)} for {fact.name}, got {word!r}; mend the value or "
        "the fact's values under `## Facts`."
    )


def _describe(fact: Fact) -> str:
    kinds = {"flag": "true or false", "integer": "a whole number", "number": "a number"}
    return kinds.get(fact.kind) or f"one of {', '.join(fact.values)}"


def _parse_verdict(then: str, place: str, grade_count: int) -> tuple[Verb, int | None]:
    if then == "n/a":
        return "n/a", None
    match = _VERDICT.fullmatch(then)
    if match is None:
        raise CookbookError(
            f"{place}: expected `grade N`, `at most N`, `at least N` or `n/a`, got {then!r}; "
            "rewrite the verdict."
        )
    grade = int(match[2])
    if grade >= grade_count:
        raise CookbookError(
            f"{place}: expected a grade from 0 to {grade_count - 1}, got {grade}; "
            "use a grade of the policy's scale."
        )
    return match[1], grade  # type: ignore[return-value]  # the pattern lists the verbs


def parse_fact(name: str, values: str, meaning: str, place: str) -> Fact:
    """Parse one row of `## Facts`; values are `integer`, `number`, `true, false` or words.

    Raises:
        CookbookError: a name or a value that no table could compare with.
    """
    listed = tuple(word.strip() for word in values.split(","))
    if not re.fullmatch(r"[A-Za-z][\w.]*", name) or not all(
        re.fullmatch(r"[\w.+-]+", word) for word in listed
    ):
        raise CookbookError(
            f"{place}: expected a fact name and its values (`integer`, `number`, `true, false` "
            f"or words joined by commas), got {name!r} with {values!r}; rewrite the row."
        )
    if listed in (("integer",), ("number",)):
        return Fact(name, "integer" if listed == ("integer",) else "number", (), meaning)
    if set(listed) == {"true", "false"}:
        return Fact(name, "flag", (), meaning)
    return Fact(name, "word", listed, meaning)
