"""Does a smaller tier grow a gap between groups that its teacher did not have?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tasks.core.errors import CookbookError
from tasks.core.fairness.gaps import GapDraws, summarize
from tasks.core.fairness.multiple_tests import Correction, corrected


@dataclass(frozen=True)
class GapGrowth:
    """A tier's gap beside its teacher's, on the same rows and resamples.

    `change` is the tier's gap minus the teacher's, with a paired 95% interval.
    """

    tier: str
    teacher: str
    name: str
    group_pair: str
    teacher_gap: float
    tier_gap: float
    change: float
    low: float
    high: float
    p_value: float

    @property
    def wider(self) -> bool:
        """Whether the tier's gap is the larger one, in whichever direction."""
        return abs(self.tier_gap) > abs(self.teacher_gap)


def gap_growth(
    draws_by_tier: Mapping[str, Sequence[GapDraws]],
    teachers: Mapping[str, str],
    *,
    correction: Correction = "holm",
) -> list[GapGrowth]:
    """Each tier's gaps against those of its teacher; `teachers` maps tier to teacher.

    The draws must come from the same rows, seed and number of resamples, so that they pair:
    two gaps that err together then differ by far less than either errs. Gaps without a value
    in one of the two are left out. p-values are corrected over all rows returned.

    Raises: CookbookError when a tier is missing or was measured on other rows.
    """
    found = [
        growth
        for tier, teacher in teachers.items()
        for growth in _compared(_of(draws_by_tier, tier), _of(draws_by_tier, teacher))
    ]
    p_values = corrected(np.array([growth.p_value for growth in found]), method=correction)
    return [replace(g, p_value=p) for g, p in zip(found, p_values.tolist(), strict=True)]


def grown_gaps(
    draws_by_tier: Mapping[str, Sequence[GapDraws]],
    teachers: Mapping[str, str],
    *,
    level: float = 0.05,
    correction: Correction = "holm",
) -> list[GapGrowth]:
    """The gaps that a tier widened beyond chance, widest first: findings for the report."""
    growths = gap_growth(draws_by_tier, teachers, correction=correction)
    wider = [growth for growth in growths if growth.wider and growth.p_value < level]
    return sorted(wider, key=lambda growth: -abs(growth.change))


def _of(draws_by_tier: Mapping[str, Sequence[GapDraws]], tier: str) -> Sequence[GapDraws]:
    if tier not in draws_by_tier:
        raise CookbookError(
            f"no gaps were measured for {tier!r}, only for {', '.join(draws_by_tier) or 'none'}: "
            "measure every tier named, or leave it out"
        )
    return draws_by_tier[tier]


def _compared(tier: Sequence[GapDraws], teacher: Sequence[GapDraws]) -> list[GapGrowth]:
    by_key = {(gap.name, gap.group_pair): gap for gap in teacher}
    if {(gap.name, gap.group_pair) for gap in tier} != set(by_key):
        raise CookbookError(
            f"{tier[0].tier if tier else 'a tier'} and its teacher were compared on different "
            "groups or metrics: measure both on the same rows"
        )
    return [
        growth
        for gap in tier
        if (growth := _growth(gap, by_key[gap.name, gap.group_pair])) is not None
    ]


def _growth(gap: GapDraws, teacher: GapDraws) -> GapGrowth | None:
    if len(gap.draws) != len(teacher.draws):
        raise CookbookError(
            f"{gap.tier} has {len(gap.draws)} resamples and {teacher.tier} has "
            f"{len(teacher.draws)}: give both the same number and seed"
        )
    change = replace(gap, value=gap.value - teacher.value, draws=gap.draws - teacher.draws)
    summary = summarize(change)
    if summary.value is None or summary.low is None or summary.high is None:
        return None
    return GapGrowth(
        tier=gap.tier,
        teacher=teacher.tier,
        name=gap.name,
        group_pair=gap.group_pair,
        teacher_gap=teacher.value,
        tier_gap=gap.value,
        change=summary.value,
        low=summary.low,
        high=summary.high,
        p_value=summary.p_value if summary.p_value is not None else 1.0,
    )
