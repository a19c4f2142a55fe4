"""Whether a candidate may serve. The gates fail closed: what cannot be measured does not pass."""

import math
from dataclasses import dataclass
from typing import Literal

from tasks.core.intervals import Interval
from tasks.core.query_slices import LEAST_QUERIES, SliceGain

Decision = Literal["promoted", "refused", "waiting"]
# One side of a 95% interval, as the gain's own.
SIGNIFICANCE = 0.025


@dataclass(frozen=True)
class Lost:
    """What the model in service learned from clicks and the candidate lacks, by name.

    ``by_choice``: the click log was there, and the candidate was taught relevance alone.
    """

    names: tuple[str, ...]
    by_choice: bool = False


@dataclass(frozen=True)
class SingleGoal:
    """What the student of both goals gains on the one of ``goal`` only, which it may not be below.

    ``clicks`` is None where there are none to tell apart.
    """

    goal: Literal["the policy teacher", "clicks"]
    ndcg: Interval
    clicks: Interval | None

    @property
    def is_above(self) -> bool:
        """Whether the one of a single goal is better on both, each interval wholly."""
        return self.clicks is not None and all(
            one.n > 1 and one.high < 0 for one in (self.ndcg, self.clicks)
        )


@dataclass(frozen=True)
class Candidate:
    """A candidate on the gate split; ``gain`` is its NDCG less the served one's, if any.

    ``slices`` holds the same by kind of query, tested against the slices' margin. ``click_auc``
    and ``click_gain`` are of members nothing trained on; None where the domain has no clicks.
    ``lost`` is what the model in service learned from clicks and the candidate lacks, if anything.
    ``single_goals`` is the student, pruned or not yet, beside students of its size of one goal.
    """

    kappa: float
    ndcg: float
    kept_ndcg: float
    gain: Interval | None
    slices: tuple[SliceGain, ...] = ()
    click_auc: float | None = None
    click_gain: Interval | None = None
    lost: Lost | None = None
    single_goals: tuple[SingleGoal, ...] = ()


@dataclass(frozen=True)
class Gates:
    """The least that serves.

    ``margin_ndcg`` is what it may lose to the model in service, ``margin_slice_ndcg`` what it
    may lose on one kind of query, ``margin_click_auc`` what it may lose on clicks; with
    ``require_gain`` it must also be better on the whole.
    """

    minimum_kappa: float
    minimum_ndcg: float
    minimum_kept_ndcg: float
    margin_ndcg: float
    margin_slice_ndcg: float = 0.05
    minimum_click_auc: float = 0.5
    margin_click_auc: float = 0.05
    require_gain: bool = False


def decide(
    candidate: Candidate,
    gates: Gates,
    *,
    approval_required: bool,
    fairness: tuple[bool, str] | None = None,
) -> tuple[Decision, list[str]]:
    """The decision and its reasons, one sentence each.

    A first model needs the absolute gates alone; a later one must also not lose to the one in
    service: its gain's whole interval lies above minus the margin. Then come superiority, if
    asked for, and the slices, corrected by Holm among themselves. A candidate must pass each in
    this fixed order, so that those before the slices need no correction.

    Source: fixed-sequence and Holm procedures keep the familywise error (Maurer, Hothorn and
    Lehmacher 1995; Holm 1979).
    """
    checks = [
        _at_least("Gate split: kappa with people", candidate.kappa, gates.minimum_kappa),
        _at_least("Gate split: NDCG@10", candidate.ndcg, gates.minimum_ndcg),
        _at_least(
            "Gate split: share of the teacher's NDCG@10",
            candidate.kept_ndcg,
            gates.minimum_kept_ndcg,
        ),
    ]
    if candidate.click_auc is not None:
        name = "Members nobody learned from: click AUC"
        checks.append(_at_least(name, candidate.click_auc, gates.minimum_click_auc))
    checks.extend(_mix_not_below(one) for one in candidate.single_goals)
    if candidate.gain is not None:
        checks.append(_not_worse("NDCG@10", candidate.gain, gates.margin_ndcg, "queries"))
        if candidate.click_gain is not None:
            lost = gates.margin_click_auc
            checks.append(_not_worse("click AUC", candidate.click_gain, lost, "members"))
        if candidate.lost is not None:
            checks.append((False, _lost(candidate.lost)))
        if gates.require_gain:
            checks.append(_better(candidate.gain))
        checks.extend(_slice_not_worse(one, gates.margin_slice_ndcg) for one in candidate.slices)
    if fairness is not None:
        checks.append(fairness)
    failed = [reason for passed, reason in checks if not passed]
    if failed:
        return "refused", failed
    reasons = [reason for _, reason in checks]
    return (
        ("waiting", [*reasons, "A person decides."]) if approval_required else ("promoted", reasons)
    )


def decide_refresh(
    gain: Interval, margin: float, *, approval_required: bool
) -> tuple[Decision, list[str]]:
    """Whether refreshed effects may serve: their whole gain in click AUC lies above -margin.

    The scorer is the one in service, so that no other gate has anything new to say.
    """
    passed = _has_interval(gain) and gain.low >= -margin
    word = "do not lose" if passed else "may lose"
    reason = (
        f"On later impressions the refreshed effects change click AUC by "
        f"{_signed(gain)} over {gain.n} members: they {word} more than "
        f"{margin:.3f}.{_alone(gain)}"
    )
    if not passed:
        return "refused", [reason]
    if approval_required:
        return "waiting", [reason, "A person decides."]
    return "promoted", [reason]


def _at_least(name: str, value: float, least: float) -> tuple[bool, str]:
    passed = math.isfinite(value) and value >= least
    word = "reaches" if passed else "is below"
    return passed, f"{name} {value:.3f} {word} the least allowed, {least:.3f}."


def _has_interval(gain: Interval) -> bool:
    """Resampled alone, one query or member is itself each time: its interval has no width."""
    return gain.n > 1 and math.isfinite(gain.low)


def _alone(gain: Interval) -> str:
    return "" if gain.n > 1 else " One alone tells nothing about others."


def _not_worse(name: str, gain: Interval, margin: float, units: str) -> tuple[bool, str]:
    passed = _has_interval(gain) and gain.low >= -margin
    word = "does not lose" if passed else "may lose"
    return passed, (
        f"Against the model in service {name} changes by "
        f"{_signed(gain)} over {gain.n} {units}: "
        f"it {word} more than {margin:.3f}.{_alone(gain)}"
    )


def _mix_not_below(single: SingleGoal) -> tuple[bool, str]:
    """Teachers that pull apart can leave a student worse at both goals than either alone."""
    found = [f"NDCG@10 changes by {_signed(single.ndcg)} over {single.ndcg.n} queries"]
    if single.clicks is not None:
        found.append(f"click AUC by {_signed(single.clicks)} over {single.clicks.n} members")
    said = f"Against the student of {single.goal} only {', '.join(found)}: "
    if not single.is_above:
        return True, f"{said}the mix of goals is not shown to be below it on both."
    return False, (
        f"{said}the mix of goals is below it on both. Let mix.alphas and mix.conflicts try other "
        "students; where no mix is as good, that of the policy teacher only is taken."
    )


def _signed(gain: Interval) -> str:
    return f"{gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"


def _lost(lost: Lost) -> str:
    """A log that is missing for a day, or a mix, must not take from members unseen."""
    why, mend = (
        (
            "the chosen mix was taught relevance alone, and no clicks",
            "Lower mix.relevance_floor or try other mix.alphas, so that a student that was taught "
            "clicks is chosen, and run again; if relevance alone is wanted",
        )
        if lost.by_choice
        else (
            "as if the click log were missing",
            "Bring the log back and run again; if it is gone for good",
        )
    )
    return (
        f"The model in service has {' and '.join(lost.names)}; the candidate has none, {why}. "
        f"{mend}, put the candidate into service by `cookbook models promote`."
    )


def _better(gain: Interval) -> tuple[bool, str]:
    passed = _has_interval(gain) and gain.low > 0
    word = "is better" if passed else "is not shown to be better"
    return passed, f"The candidate {word} than the model in service over all queries."


def _slice_not_worse(one: SliceGain, margin: float) -> tuple[bool, str]:
    """A slice that is too small to be tested holds nothing up, and is not passed over either."""
    said = (
        f"Queries {one.name}: NDCG@10 changes by {one.gain.value:+.4f} over {one.gain.n} queries; "
    )
    if one.p_value is None:
        return True, f"{said}too few to be tested, which takes {LEAST_QUERIES}."
    passed = math.isfinite(one.gain.value) and one.p_value <= SIGNIFICANCE
    word = "does not lose" if passed else "may lose"
    corrected = f"(p {one.p_value:.3f}, corrected by Holm)"
    return passed, f"{said}it {word} more than {margin:.3f} {corrected}."
