"""What a labeled set exercises of a policy, and what it does not: the holes to aim at."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tasks.core.policy import Policy
from tasks.core.tables import Row


@dataclass(frozen=True)
class Coverage:
    """Labels by clause cited, dimension graded, overall grade and kind of query.

    Zeros stand for what no label exercises. ``clauses`` and ``dimensions`` are None where the
    judge tells neither: the embedded one reads no policy.
    """

    pairs: int
    clauses: Mapping[str, int] | None
    dimensions: Mapping[str, int] | None
    grades: Mapping[str, int]
    kinds: Mapping[str, int]

    @property
    def holes(self) -> list[str]:
        """Clauses, dimensions, grades and kinds that no label exercises, by name."""
        tables = {
            "clause": self.clauses or {},
            "dimension": self.dimensions or {},
            "grade": self.grades,
            "query kind": self.kinds,
        }
        return [f"{what} {name}" for what, t in tables.items() for name, n in t.items() if not n]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "holes": self.holes}


def measure_coverage(
    policy: Policy, labels: Iterable[Row], kinds: Mapping[str, str], wanted_kinds: Iterable[str]
) -> Coverage:
    """Count over judgments (rows with query_id, grade, clauses, dimensions).

    ``kinds`` maps a query_id to its kind; ``wanted_kinds`` are those that golden data holds, so
    that a kind which people were asked about and nobody labels shows as a hole.
    """
    clauses, dimensions, grades = Counter[str](), Counter[str](), Counter[str]()
    by_kind, pairs = Counter[str](), 0
    for row in labels:
        pairs += 1
        clauses.update(row["clauses"])
        dimensions.update(one["id"] for one in row["dimensions"] if one["grade"] is not None)
        grades[str(row["grade"])] += 1
        by_kind[kinds[row["query_id"]]] += 1
    return Coverage(
        pairs=pairs,
        clauses={c.id: clauses[c.id] for c in policy.clauses} if clauses else None,
        dimensions={d.id: dimensions[d.id] for d in policy.dimensions} if dimensions else None,
        grades={str(level.value): grades[str(level.value)] for level in policy.grades},
        kinds={kind: by_kind[kind] for kind in sorted({*by_kind, *wanted_kinds})},
    )
