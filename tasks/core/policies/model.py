"""What a policy says, as values: grades, dimensions, caps, clauses, precedents."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import lcm

from tasks.core.errors import CookbookError
from tasks.core.policies.table_syntax import DecisionTable, Fact


@dataclass(frozen=True)
class GradeLevel:
    """One step of the grade scale."""

    value: int
    name: str
    meaning: str


@dataclass(frozen=True)
class Dimension:
    """One question that is graded on its own; its weight counts in the overall grade."""

    id: str
    title: str
    weight: float
    question: str


@dataclass(frozen=True)
class Cap:
    """Where the dimension's grade is `at_most` or lower, the overall grade is limited."""

    dimension: str
    at_most: int
    overall_at_most: int


@dataclass(frozen=True)
class Clause:
    """One numbered rule. `text` is id, title and body; `digest` is the SHA-256 of `text`."""

    id: str
    title: str
    dimension: str
    text: str
    digest: str
    tables: tuple[DecisionTable, ...]


@dataclass(frozen=True)
class Precedent:
    """A worked example; None stands for a dimension that does not apply."""

    query: str
    pair: str
    dimension_grades: dict[str, int | None]
    grade: int
    clauses: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Policy:
    """A parsed policy document. Two policies are the same when their digests are."""

    name: str
    version: str
    unit: str
    grades: tuple[GradeLevel, ...]
    dimensions: tuple[Dimension, ...]
    caps: tuple[Cap, ...]
    clauses: tuple[Clause, ...]
    precedents: tuple[Precedent, ...]
    facts: tuple[Fact, ...]
    text: str
    digest: str

    @property
    def grade_count(self) -> int:
        """Number of grades on the scale: 5 for grades 0 to 4."""
        return len(self.grades)

    @property
    def middle_grade(self) -> int:
        """The lowest grade that counts as a good match: 2 for 0 to 4 and for 0 to 3."""
        return self.grade_count // 2

    @cached_property
    def integer_weights(self) -> dict[str, int]:
        """Dimension weights scaled to whole numbers, so that a mean of 2.5 is exactly 2.5."""
        exact = {d.id: Fraction(repr(d.weight)) for d in self.dimensions}
        scale = lcm(*(weight.denominator for weight in exact.values()))
        return {name: int(weight * scale) for name, weight in exact.items()}

    def aggregate(self, dimension_grades: Mapping[str, int | None]) -> int:
        """Overall grade: weighted mean of the grades that apply, rounded half up, then capped.

        Weights 0.5 and 0.3 with grades 1 and 2 give 1.1 / 0.8 = 1.375, so grade 1.
        A missing key and None both mean that the dimension does not apply.

        Raises:
            CookbookError: a dimension the policy lacks, a grade off its scale, or no dimension
                that applies (a pair about which the policy says nothing has no grade).
        """
        if not dimension_grades.keys() <= self.integer_weights.keys():
            raise self._unknown_dimensions(dimension_grades)
        total = weights = 0
        for name, weight in self.integer_weights.items():
            grade = dimension_grades.get(name)
            if grade is not None:
                if not 0 <= grade < self.grade_count:
                    raise self._off_scale(name, grade)
                total += weight * grade
                weights += weight
        if not weights:
            raise CookbookError(
                f"policy {self.name}: expected at least one dimension that applies, all "
                f"{len(self.dimensions)} are None; add a clause that grades such pairs."
            )
        return self._capped((2 * total + weights) // (2 * weights), dimension_grades)

    def _capped(self, grade: int, dimension_grades: Mapping[str, int | None]) -> int:
        for cap in self.caps:
            reached = dimension_grades.get(cap.dimension)
            if reached is not None and reached <= cap.at_most:
                grade = min(grade, cap.overall_at_most)
        return grade

    def _unknown_dimensions(self, dimension_grades: Mapping[str, int | None]) -> CookbookError:
        unknown = sorted(dimension_grades.keys() - self.integer_weights.keys())
        return CookbookError(
            f"policy {self.name}: expected grades for the dimensions "
            f"{', '.join(self.integer_weights)}, got {', '.join(unknown)}; mend the dimension ids."
        )

    def _off_scale(self, dimension: str, grade: int) -> CookbookError:
        return CookbookError(
            f"policy {self.name}: expected a grade from 0 to {self.grade_count - 1} for "
            f"{dimension}, got {grade}; grade on the policy's scale."
        )
