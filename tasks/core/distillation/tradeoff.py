"""The front of relevance and clicks, and which of its points is served."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks.core.intervals import Interval


@dataclass(frozen=True)
class MeasuredStudent:
    """One student: its share of the relevance goal, its rule for conflicts, both goals measured.

    ``alpha`` is 1 or 0 for the students of a single teacher.
    """

    name: str
    alpha: float
    conflicts: str
    relevance: Interval
    clicks: Interval

    @property
    def is_single(self) -> bool:
        return self.alpha in (0.0, 1.0)

    def is_below(self, other: "MeasuredStudent") -> bool:
        """Worse than the other on both goals."""
        return (
            self.relevance.value < other.relevance.value and self.clicks.value < other.clicks.value
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "alpha": self.alpha,
            "conflicts": self.conflicts,
            "ndcg_at_10": self.relevance.to_json(),
            "click_auc": self.clicks.to_json(),
        }


def front(mixes: Sequence[MeasuredStudent]) -> list[MeasuredStudent]:
    """The mixes that no other beats on both goals, by rising relevance."""
    best = [one for one in mixes if not any(one.is_below(other) for other in mixes)]
    return sorted(best, key=lambda one: one.relevance.value)


def choose(mixes: Sequence[MeasuredStudent], *, floor: float) -> MeasuredStudent:
    """The mix with the most clicks that keeps ``floor`` of the relevance-only student's NDCG.

    Never one of clicks alone, which is there to compare with: nobody taught it the grades that are
    served. Nor one that a single teacher's student beats on both goals; where clicks alone beat all
    others so, even relevance alone, this is asked of relevance alone. That is chosen where no mix
    is left: it has no chances of clicks to serve.
    """
    singles = [one for one in mixes if one.is_single]
    relevant = max(singles, key=lambda one: one.alpha)
    least = floor * relevant.relevance.value
    enough = [one for one in mixes if one.alpha > 0.0 and one.relevance.value >= least]

    def not_below(rivals: Sequence[MeasuredStudent]) -> list[MeasuredStudent]:
        return [one for one in enough if not any(one.is_below(rival) for rival in rivals)]

    allowed = not_below(singles) or not_below([relevant])
    mixed = [one for one in allowed if not one.is_single]
    return max(mixed or allowed, key=lambda one: (one.clicks.value, one.relevance.value))
