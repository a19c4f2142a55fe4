"""Which stored labels a new version of the policy makes stale, and what relabeling costs."""

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.asking import MODEL
from tasks.core.domain.catalog import Catalog
from tasks.core.errors import CookbookError
from tasks.core.labeling.carry_over import (
    Fate,
    MissedChanges,
    PolicyEdit,
    draw,
    measure_missed_changes,
)
from tasks.core.labeling.plan import LabelPlan, estimate, local_tokenizer
from tasks.core.labeling.prompts import LabelRequest
from tasks.core.policy import Policy
from tasks.exchange import PAIRS
from tasks.past_labels import PastLabels, past_labels
from tasks.settings import BaseModelSettings
from tasks.to_label import PairRequests, open_way


@dataclass(frozen=True)
class AffectedLabels:
    """What an edit does to the labels of one judge, before anything is paid for.

    ``plan`` is of the stale labels under the new policy; ``missed`` of a sample of the others.
    """

    judge: str
    changed_clauses: tuple[str, ...]
    kept: int
    stale: int
    unlabeled: int
    plan: LabelPlan
    missed: MissedChanges

    @property
    def stale_share(self) -> float:
        """Share of the stored labels that must be paid for again."""
        labeled = self.kept + self.stale
        return self.stale / labeled if labeled else 0.0


def affected_labels(new_policy: Policy, *, sampled: int) -> Iterator[AffectedLabels]:
    """One entry per judge that made the open run's last labels; costs ``sampled`` calls each.

    What the sample pays for stands in the journal, and labeling does not pay for it again.

    Raises:
        CookbookError: there are no labels yet, or they are the embedded judge's.
    """
    past = next(past_labels(), None)
    if past is None:
        raise CookbookError(
            "There are no labels yet that an edit could make stale; run `cookbook label` first."
        )
    if past.input("judge").file(MODEL).exists():
        raise CookbookError(
            "The last labels are the embedded judge's, which reads no policy and cites no clause: "
            "after an edit `cookbook label` asks it again about every pair, at no cost."
        )
    yield from _by_judge(past, new_policy, sampled)


def _by_judge(past: PastLabels, new_policy: Policy, sampled: int) -> Iterator[AffectedLabels]:
    settings, labels = past.settings
    pairs, judge = past.input("pairs").file(PAIRS), past.input("judge")
    requests = PairRequests(pairs, Catalog.load(past.domain.catalog.folder), settings)
    unused = BaseModelSettings(source="embedded")
    with open_way(past.domain, judge, unused, settings, labels) as way:
        for asked in way.judges:
            yield _affected(PolicyEdit.between(asked, new_policy), requests, sampled)


def _affected(edit: PolicyEdit, requests: PairRequests, sampled: int) -> AffectedLabels:
    # The requests may not fit in memory: they are read once for each question.
    fates = Counter(edit.fate(request) for request in requests)

    def of(fate: Fate) -> Iterator[LabelRequest]:
        return (request for request in requests if edit.fate(request) is fate)

    new = edit.new
    return AffectedLabels(
        judge=new.endpoint.model,
        changed_clauses=edit.changed_clauses,
        kept=fates[Fate.KEPT],
        stale=fates[Fate.STALE],
        unlabeled=fates[Fate.UNLABELED],
        plan=estimate(
            of(Fate.STALE),
            new.policy,
            new.endpoint,
            prompt=new.prompt,
            price=new.price,
            count_tokens=local_tokenizer(new.endpoint.model),
        ),
        missed=measure_missed_changes(edit, heapq.nsmallest(sampled, of(Fate.KEPT), key=draw)),
    )
