"""Whether a judge agrees with people well enough to be paid for more labels."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.core.intervals import Interval
from tasks.core.labeling.agreement import (
    confusion_matrix,
    human_kappa,
    kappa_interval,
    weighted_kappa,
)

# Fewer queries than this cannot tell a judge from a coin; the gate then stays shut.
MINIMUM_QUERIES = 8


@dataclass(frozen=True)
class Verdict:
    """A judge on the gate split: agreement, where it errs, and whether it may go on.

    ``confusion`` has human rows and judge columns; ``bias`` is the mean of judge minus human,
    in grades, so that an over-generous judge has a positive one.
    """

    kappa: Interval
    human_kappa: float | None
    confusion: list[list[int]]
    bias: float
    floor: float
    passed: bool
    reason: str
    dimension_kappas: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def judge_verdict(
    human_grades: npt.ArrayLike,
    judge_grades: npt.ArrayLike,
    raters: npt.ArrayLike | None,
    queries: npt.ArrayLike,
    *,
    grade_count: int,
    floor_kappa: float,
    floor_human_share: float,
    seed: int = 0,
    dimension_grades: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]] | None = None,
) -> Verdict:
    """The verdict on a judge; grades of shape (pairs,), ``raters`` (pairs, raters) with NaN.

    The floor is the higher of ``floor_kappa`` and ``floor_human_share`` of human_kappa; where
    no two raters share a pair only the first holds. The kappa itself is held to the floor and
    its interval is reported. What cannot be measured does not pass. ``dimension_grades`` maps
    a dimension to (human, judge) grades, NaN where it does not apply.
    """
    kappa = kappa_interval(human_grades, judge_grades, queries, grade_count, seed=seed)
    people = None if raters is None else human_kappa(raters)
    floor = max(floor_kappa, floor_human_share * people if people is not None else floor_kappa)
    passed, reason = _decide(kappa, people, floor)
    difference = np.asarray(judge_grades, np.float64) - np.asarray(human_grades, np.float64)
    return Verdict(
        kappa=kappa,
        human_kappa=people,
        confusion=confusion_matrix(human_grades, judge_grades, grade_count).tolist(),
        bias=float(difference.mean()),
        floor=floor,
        passed=passed,
        reason=reason,
        dimension_kappas={
            name: _kappa_where_both(human, judge, grade_count)
            for name, (human, judge) in (dimension_grades or {}).items()
        },
    )


def _decide(kappa: Interval, people: float | None, floor: float) -> tuple[bool, str]:
    if not np.isfinite(kappa.value):
        return False, "The judge's kappa cannot be measured: one grade throughout."
    if kappa.n < MINIMUM_QUERIES:
        return False, (
            f"The gate split has {kappa.n} queries, fewer than the {MINIMUM_QUERIES} that a "
            "verdict needs."
        )
    beside = f"; people among themselves {people:.3f}" if people is not None else ""
    measured = f"kappa {kappa.value:.3f} [{kappa.low:.3f}, {kappa.high:.3f}]{beside}"
    if kappa.value < floor:
        return False, f"The judge is below the floor of {floor:.3f}: {measured}."
    return True, f"The judge reaches the floor of {floor:.3f}: {measured}."


def _kappa_where_both(human: npt.ArrayLike, judge: npt.ArrayLike, grade_count: int) -> float:
    """NaN too where the judge leaves most of what people graded without a grade."""
    first, second = np.asarray(human, np.float64), np.asarray(judge, np.float64)
    both = ~np.isnan(first) & ~np.isnan(second)
    if 2 * both.sum() <= (~np.isnan(first)).sum():
        return float("nan")
    return weighted_kappa(first[both], second[both], grade_count)
