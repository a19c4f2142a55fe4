"""What is labeled and by whom: pairs as a judge reads them, and the way the settings name."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.asking import cheaper_judge, label_request, labels_folder, open_judge
from tasks.core.domain.catalog import Catalog
from tasks.core.labeling.carry_over import PolicyEdit
from tasks.core.labeling.cascade import Cascade
from tasks.core.labeling.judge import Judge
from tasks.core.labeling.prompts import LabelRequest
from tasks.core.labeling.samples import Sampled
from tasks.core.labeling.ways import Batched, Live, Way
from tasks.core.policy import Policy
from tasks.core.store.artifacts import Artifact
from tasks.core.tables import Row, iterate_rows
from tasks.exchange import Domain
from tasks.past_labels import past_labels
from tasks.settings import BaseModelSettings, JudgeSettings, LabelSettings


@dataclass(frozen=True)
class PairRequests:
    """The pairs as a judge reads them, made anew on each pass: memory holds one at a time."""

    pairs: Path
    catalog: Catalog
    settings: JudgeSettings

    def __iter__(self) -> Iterator[LabelRequest]:
        return (request for _, request in self.with_rows())

    def with_rows(self) -> Iterator[tuple[Row, LabelRequest]]:
        for row in iterate_rows(self.pairs):
            yield row, label_request(self.catalog, row, self.settings)


@contextmanager
def open_way(
    domain: Domain,
    judge: Artifact,
    encoder: BaseModelSettings,
    settings: JudgeSettings,
    labels: LabelSettings,
) -> Iterator[Way]:
    """The way of labeling that the settings name."""
    with open_judge(domain, judge, encoder, settings) as asked:
        if labels.cheap_judges:
            cheap = [cheaper_judge(asked, one) for one in labels.cheap_judges]
            yield Cascade(cheap, asked, labels.unsure_below, labels.audited_pairs)
        elif settings.answers.samples > 1 and asked.endpoint.is_llm:
            temperature = settings.answers.sampling_temperature
            yield Sampled(asked, settings.answers.samples, temperature)
        elif labels.mode == "batch" and asked.endpoint.is_llm:
            folder = labels_folder() / "batches" / judge.digest[:16]
            yield Batched(asked, folder, labels.batch_poll_s)
        else:
            yield Live(asked)


def last_edit(judge: Judge, requests: Iterable[LabelRequest]) -> PolicyEdit | None:
    """From the last other policy under which this judge labeled any of the pairs."""
    for policy in _earlier_policies(judge.policy):
        edit = PolicyEdit.between(replace(judge, policy=policy), judge.policy)
        if any(edit.is_labeled(request) for request in requests):
            return edit
    return None


def _earlier_policies(policy: Policy) -> Iterator[Policy]:
    seen = {policy.digest}
    for past in past_labels():
        earlier = past.policy
        if earlier.digest not in seen:
            seen.add(earlier.digest)
            yield earlier
