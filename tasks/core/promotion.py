"""Whether a candidate may serve. The gates fail closed: what cannot be measured does not pass."""

import math
from dataclasses import dataclass
from typing import Literal

from tasks.core.intervals import Interval

Decision = Literal["promoted", "refused", "waiting"]


@dataclass(frozen=True)
class Candidate:
    """A candidate on the gate split; ``gain`` is its NDCG less the served one's, if any."""

    kappa: float
    ndcg: float
    kept_ndcg: float
    gain: Interval | None


@dataclass(frozen=True)
class Gates:
    """The least that serves; ``margin_ndcg`` is what it may lose to the model in service."""

    minimum_kappa: float
    minimum_ndcg: float
    minimum_kept_ndcg: float
    margin_ndcg: float


def decide(
    candidate: Candidate, gates: Gates, *, approval_required: bool
) -> tuple[Decision, list[str]]:
    """The decision and its reasons, one sentence each.

    A first model needs the absolute gates alone; a later one must also not lose to the one in
    service: its gain's whole interval lies above minus the margin.
    """
    checks = [
        _at_least("kappa with people", candidate.kappa, gates.minimum_kappa),
        _at_least("NDCG@10", candidate.ndcg, gates.minimum_ndcg),
        _at_least("share of the teacher's NDCG@10", candidate.kept_ndcg, gates.minimum_kept_ndcg),
    ]
    if candidate.gain is not None:
        checks.append(_not_worse(candidate.gain, gates.margin_ndcg))
    failed = [reason for passed, reason in checks if not passed]
    if failed:
        return "refused", failed
    reasons = [reason for _, reason in checks]
    return (
        ("waiting", [*reasons, "A person decides."]) if approval_required else ("promoted", reasons)
    )


def _at_least(name: str, value: float, least: float) -> tuple[bool, str]:
    passed = math.isfinite(value) and value >= least
    word = "reaches" if passed else "is below"
    return passed, f"Gate split: {name} {value:.3f} {word} the least allowed, {least:.3f}."


def _not_worse(gain: Interval, margin: float) -> tuple[bool, str]:
    passed = math.isfinite(gain.low) and gain.low >= -margin
    word = "does not lose" if passed else "may lose"
    return passed, (
        f"Against the model in service NDCG@10 changes by {gain.value:+.4f} "
        f"[{gain.low:+.4f}, {gain.high:+.4f}] over {gain.n} queries: "
        f"it {word} more than {margin:.3f}."
    )
