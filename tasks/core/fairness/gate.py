"""The fairness gate of promotion. It fails closed: what was not measured does not pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from tasks.core.fairness.gaps import GroupMetric


@dataclass(frozen=True)
class GateResult:
    """Whether the tier passes, and why not: one sentence a reason, none when it passes."""

    passed: bool
    reasons: tuple[str, ...]


def fairness_gate(
    metrics: Sequence[GroupMetric],
    *,
    tier: str,
    limits: Mapping[str, float],
    required_pairs: Sequence[str],
) -> GateResult:
    """Refuse a tier with a gap beyond its limit, or without a number for one that is required.

    `limits` maps a metric's name to the largest gap allowed, in its own unit; each of these
    metrics must hold a value and an interval for each of `required_pairs` (for instance all
    that the model in service was measured on), and every other pair present is held to the
    limit too. A gap breaks its limit when its value exceeds it and its interval excludes no
    gap at all: what chance explains refuses nobody. No limits, or no pairs, do not pass.
    """
    reasons = []
    if not limits or not required_pairs:
        reasons.append("no fairness limit or no pair of groups was required, so none was checked")
    for name, limit in limits.items():
        rows = {m.group_pair: m for m in metrics if m.tier == tier and m.name == name}
        for pair in dict.fromkeys([*required_pairs, *rows]):
            reason = _reason(rows.get(pair), limit)
            if reason:
                reasons.append(f"{tier}, {name}, {pair}: {reason}")
    return GateResult(not reasons, tuple(reasons))


def fairness_check(
    metrics: Sequence[GroupMetric] | None,
    *,
    tier: str,
    limits: Mapping[str, float],
    served_pairs: Sequence[str],
    refuses: bool,
) -> tuple[bool, str]:
    """Whether promotion may go on, and its sentence; without `refuses` it always may.

    `metrics` are None where nothing states groups. `served_pairs` are the pairs that the model
    in service was measured on: none of them may be missing.
    """
    if metrics is None:
        return not refuses, "Fairness was not measured: nothing states groups."
    pairs = sorted({metric.group_pair for metric in metrics} | set(served_pairs))
    found = fairness_gate(metrics, tier=tier, limits=limits, required_pairs=pairs)
    if found.passed:
        named = ", ".join(f"{name} {limit:g}" for name, limit in limits.items())
        return True, f"Gate split: no gap between groups exceeds its limit ({named})."
    told = "; ".join(found.reasons)
    return not refuses, f"Fairness{'' if refuses else ' (reported, refuses nobody)'}: {told}."


def _reason(metric: GroupMetric | None, limit: float) -> str:
    """Why this gap does not pass; empty when it does."""
    if metric is None:
        return "not measured"
    value, low, high = metric.value, metric.low, metric.high
    if value is None or low is None or high is None:
        return "measured without a number"
    if not isfinite(value) or not isfinite(low) or not isfinite(high) or not isfinite(limit):
        return f"gap {value}, interval {low} to {high} and limit {limit} must all be finite"
    if abs(value) > limit and not low <= 0.0 <= high:
        return f"gap {value:+.3f} ({low:+.3f} to {high:+.3f}) exceeds the limit of {limit:g}"
    return ""
