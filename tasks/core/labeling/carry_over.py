"""After an edit of the policy: which labels it makes stale, and how the others are kept.

Every label's key holds the hash of the whole policy, so an edit makes every key new. A label
that cites no changed clause is carried to its new key, where it is parsed under the new policy:
new weights and caps take effect without a call. What cannot be known without asking, a clause
that would now speak where it did not, is measured on a sample.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.core.intervals import Interval, bootstrap_mean
from tasks.core.labeling.judge import Judge, by_pair
from tasks.core.labeling.prompts import LabelRequest, repair_key, request_key
from tasks.core.labeling.replies import Judgment, ReplyError, parse_reply
from tasks.core.policy import Policy, diff


@dataclass(frozen=True)
class Affected:
    """What an edit does to stored labels: kept, stale, and pairs that never had one."""

    changed_clauses: tuple[str, ...]
    kept: list[LabelRequest]
    stale: list[LabelRequest]
    unlabeled: list[LabelRequest]

    @property
    def stale_share(self) -> float:
        """Share of the stored labels that must be paid for again."""
        labeled = len(self.kept) + len(self.stale)
        return len(self.stale) / labeled if labeled else 0.0


@dataclass(frozen=True)
class MissedChanges:
    """A sample of kept labels asked again under the new policy: the share that now differs."""

    sampled: int
    changed: int
    rate: Interval


def affected_labels(old: Judge, new_policy: Policy, requests: Iterable[LabelRequest]) -> Affected:
    """Sort requests by what the edit from ``old.policy`` to ``new_policy`` does to their labels.

    Stale is a label that cites a changed or removed clause, cites none at all (nothing then
    tells what it rests on), or does not parse under the new policy. Spends nothing.
    """
    changes = diff(old.policy, new_policy)
    changed = {*changes.changed, *changes.removed}
    # New meanings of grades or questions touch every label; weights and caps do not.
    all_stale = any(not _is_recomputed(line) for line in changes.front_matter)
    result = Affected((*changes.changed, *changes.removed, *changes.added), [], [], [])
    for request in requests:
        label = _label(old, request, old.policy)
        if label is None:
            result.unlabeled.append(request)
        elif (
            all_stale
            or not label.clauses
            or changed & set(label.clauses)
            or _label(old, request, new_policy) is None
        ):
            result.stale.append(request)
        else:
            result.kept.append(request)
    return result


def carry_over(old: Judge, new_policy: Policy, kept: Iterable[LabelRequest]) -> int:
    """Give the kept labels their keys under the new policy; returns how many were carried.

    The journal then holds them as answered, at no cost, and labeling pays only for the rest.
    """
    carried = 0
    for request in kept:
        old_key = request_key(old.policy, request, old.prompt, old.endpoint)
        new_key = request_key(new_policy, request, old.prompt, old.endpoint)
        carried += new_key not in old.journal
        pairs = [(old_key, new_key), (repair_key(old_key), repair_key(new_key))]
        for came, goes in pairs:
            reply = old.journal.result(came)
            if reply is not None and goes not in old.journal:
                old.journal.answer(goes, reply, usd=0.0, run=old.run)
    old.journal.sync()
    return carried


def sample_missed_changes(
    new: Judge, kept: Sequence[LabelRequest], *, count: int, seed: int = 0
) -> MissedChanges:
    """Ask the judge afresh about ``count`` kept pairs under the new policy.

    Costs ``count`` calls. The rate includes the judge's own wobble, so it errs on the high side.
    """
    order = np.random.default_rng(seed).permutation(len(kept))[:count]
    sample = [kept[number] for number in order]
    carried = by_pair(new.label(sample, max_quarantine_share=1.0))
    fresh_judge = new.with_sample(new.endpoint.sample + 1)
    fresh = by_pair(fresh_judge.label(sample, max_quarantine_share=1.0))
    differs = np.array(
        [
            float(carried[request.pair_id].grade != fresh[request.pair_id].grade)
            for request in sample
            if request.pair_id in carried and request.pair_id in fresh
        ]
    )
    rate = bootstrap_mean(differs) if differs.size else Interval(float("nan"), 0.0, 1.0, 0)
    return MissedChanges(sampled=len(differs), changed=int(differs.sum()), rate=rate)


def _is_recomputed(line: str) -> bool:
    """True for front-matter changes that the aggregation takes in without asking again."""
    field = line.partition(":")[0]
    return field == "version" or field.endswith(" weight") or field.startswith("cap on ")


def _label(judge: Judge, request: LabelRequest, policy: Policy) -> Judgment | None:
    """The stored label read under ``policy``, the repaired one if the first was bad."""
    key = request_key(judge.policy, request, judge.prompt, judge.endpoint)
    for paid in (judge.journal.result(key), judge.journal.result(repair_key(key))):
        if paid is not None:
            try:
                return parse_reply(
                    paid,
                    policy,
                    pair_id=request.pair_id,
                    prompt_hash=judge.prompt.digest,
                    needs_dimensions=judge.endpoint.is_llm,
                )
            except ReplyError:
                continue
    return None
