"""After an edit of the policy: which labels it makes stale, and how the others are kept.

Every label's key holds the hash of the whole policy, so an edit makes every key new. A label
that cites no changed clause is carried to its new key, where it is parsed under the new policy:
new weights and caps take effect without a call. What cannot be known without asking, a clause
that would now speak where it did not, is measured on a sample.
"""

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Self

from tasks.core.intervals import Interval, share_interval
from tasks.core.labeling.journal import member_mark
from tasks.core.labeling.judge import Judge, by_pair
from tasks.core.labeling.prompts import LabelRequest, repair_key, request_key
from tasks.core.labeling.stored import stored_label
from tasks.core.policy import Policy, diff


class Fate(StrEnum):
    """What an edit does to a stored label."""

    KEPT = "kept"
    STALE = "stale"
    UNLABELED = "unlabeled"


@dataclass(frozen=True)
class PolicyEdit:
    """An edit of the policy as the labels of one judge meet it: the judge before and after."""

    old: Judge
    new: Judge
    changed_clauses: tuple[str, ...]
    touched: frozenset[str]
    touches_all: bool

    @classmethod
    def between(cls, old: Judge, new_policy: Policy) -> Self:
        """Compare the policies. A new meaning of a grade, or a new question of a dimension,
        touches every label; new weights and caps touch none, since they are recomputed."""
        changes = diff(old.policy, new_policy)
        return cls(
            old=old,
            new=replace(old, policy=new_policy),
            changed_clauses=(*changes.changed, *changes.removed, *changes.added),
            touched=frozenset({*changes.changed, *changes.removed}),
            touches_all=any(not _is_recomputed(line) for line in changes.front_matter),
        )

    def is_labeled(self, request: LabelRequest) -> bool:
        """Whether the old policy's label of the pair is stored."""
        return stored_label(self.old, request) is not None

    def fate(self, request: LabelRequest) -> Fate:
        """Stale is a label that cites a changed or removed clause, cites none at all (nothing
        then tells what it rests on), or does not parse under the new policy. Spends nothing."""
        label = stored_label(self.old, request)
        if label is None:
            return Fate.UNLABELED
        if self.touches_all or not label.clauses or self.touched & set(label.clauses):
            return Fate.STALE
        readable = stored_label(self.old, request, read_under=self.new.policy)
        return Fate.KEPT if readable else Fate.STALE

    def carry(self, request: LabelRequest) -> bool:
        """Give a kept label its key under the new policy, at no cost; False if it has one."""
        keys = [
            request_key(judge.policy, request, judge.prompt, judge.endpoint)
            for judge in (self.old, self.new)
        ]
        journal = self.old.journal
        if keys[1] in journal:
            return False
        for came, goes in (keys, [repair_key(key) for key in keys]):
            journal.carry(came, goes, run=self.old.run, member=member_mark(request.member_id))
        return True


@dataclass(frozen=True)
class MissedChanges:
    """A sample of kept labels asked again under the new policy: the share that now differs."""

    sampled: int
    changed: int
    rate: Interval | None
    calls: int = 0


@dataclass(frozen=True)
class CarryOver:
    """What an edit did to the stored labels: counts by fate, and the sampled check."""

    changed_clauses: tuple[str, ...]
    kept: int
    stale: int
    unlabeled: int
    carried: int
    missed: MissedChanges

    @property
    def stale_share(self) -> float:
        """Share of the stored labels that must be paid for again."""
        labeled = self.kept + self.stale
        return self.stale / labeled if labeled else 0.0

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "stale_share": self.stale_share}


def carry_over(edit: PolicyEdit, requests: Iterable[LabelRequest], *, sampled: int) -> CarryOver:
    """Carry every kept label to the new policy, after ``sampled`` of them were asked again.

    ``requests`` is iterated twice. The sample is asked under the keys that labeling uses, so
    its calls are not spent twice: a pair that was sampled has its new label.
    """
    fates: Counter[Fate] = Counter()

    def kept() -> Iterable[LabelRequest]:
        for request in requests:
            fate = edit.fate(request)
            fates[fate] += 1
            if fate is Fate.KEPT:
                yield request

    # One at least, or the pairs would not even be looked at.
    drawn = heapq.nsmallest(max(1, sampled), kept(), key=draw)
    missed = measure_missed_changes(edit, drawn[:sampled])
    carried = sum(edit.carry(r) for r in requests if edit.fate(r) is Fate.KEPT)
    edit.old.journal.sync()
    return CarryOver(
        edit.changed_clauses,
        fates[Fate.KEPT],
        fates[Fate.STALE],
        fates[Fate.UNLABELED],
        carried,
        missed,
    )


def measure_missed_changes(edit: PolicyEdit, sample: Sequence[LabelRequest]) -> MissedChanges:
    """Ask about kept pairs under the new policy; costs a call each, once.

    A change is a grade other than the old answer's, aggregated by the new policy. The rate
    includes the judge's own wobble, so it errs on the high side.
    """
    if not sample:
        return MissedChanges(0, 0, None)
    run = edit.new.label(sample, max_quarantine_share=1.0)
    fresh = by_pair(run)
    differs = [
        old.grade != fresh[request.pair_id].grade
        for request in sample
        if request.pair_id in fresh
        and (old := stored_label(edit.old, request, read_under=edit.new.policy))
    ]
    changed = sum(differs)
    rate = share_interval(changed, len(differs)) if differs else None
    return MissedChanges(len(differs), changed, rate, run.progress.calls)


def draw(request: LabelRequest) -> str:
    """The order in which labels are sampled: by chance, and the same on every call."""
    return hashlib.sha256(f"sample:{request.pair_id}".encode()).hexdigest()


def _is_recomputed(line: str) -> bool:
    """True for front-matter changes that the aggregation takes in without asking again."""
    field = line.partition(":")[0]
    return field == "version" or field.endswith(" weight") or field.startswith("cap on ")
