"""What is wrong with a judge, in sentences: bias, blind spots, wobble, gullibility."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tasks.core.labeling.gate import Verdict
from tasks.core.labeling.twins import TwinShift
from tasks.core.labeling.wobble import Wobble


@dataclass(frozen=True)
class JudgeLimits:
    """The most that a judge may err in each way before the gate refuses it, in grades or shares."""

    bias: float = 0.5
    moved_share: float = 0.25
    mean_move: float = 0.3
    raised_share: float = 0.1
    noise_share: float = 0.1
    dimension_kappa: float = 0.3  # the least, not the most


def find_weaknesses(
    verdict: Verdict,
    *,
    wobbles: Sequence[Wobble] = (),
    twins: Sequence[TwinShift] = (),
    noise_share: float | None = None,
    limits: JudgeLimits,
) -> list[str]:
    """One sentence per limit that is broken; a figure that is NaN breaks its limit."""
    found = []
    if not abs(verdict.bias) <= limits.bias:
        kind = "generous" if verdict.bias > 0 else "severe"
        found.append(f"It is over-{kind}: {verdict.bias:+.2f} grades on average.")
    for name, kappa in verdict.dimension_kappas.items():
        if not kappa >= limits.dimension_kappa:
            found.append(f"It is blind to the dimension {name}: kappa {kappa:.2f} with people.")
    for wobble in wobbles:
        if not (wobble.moved_share <= limits.moved_share and wobble.mean_move <= limits.mean_move):
            found.append(
                f"It wobbles when {wobble.change}: {wobble.moved_share:.0%} of {wobble.pairs} "
                f"grades move, by {wobble.mean_move:.2f} on average."
            )
    for twin in twins:
        if not twin.raised_share <= limits.raised_share:
            found.append(
                f"It is fooled by {twin.attack}: {twin.raised_share:.0%} of {twin.pairs} grades "
                f"rise, by {twin.shift.value:.2f} on average."
            )
    if noise_share is not None and not noise_share <= limits.noise_share:
        found.append(f"It takes words for relevance: {noise_share:.0%} of nonsense gets a grade.")
    return found


def refuse_for(verdict: Verdict, weaknesses: Sequence[str]) -> Verdict:
    """The verdict with its weaknesses in the reason; any weakness closes the gate."""
    if not weaknesses:
        return verdict
    return replace(verdict, passed=False, reason=" ".join((verdict.reason, *weaknesses)))
