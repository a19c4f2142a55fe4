"""The ways to label: by one judge at once, by one judge through its provider's Batch API.

A way runs over pairs and leaves its answers in the journal; ``stored`` reads a pair's label back.
The cascade (cascade.py) is the third.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import openai

from tasks.core.labeling.batch import BatchDesk
from tasks.core.labeling.drain import Drained, Hear, drain
from tasks.core.labeling.endpoint import api_key
from tasks.core.labeling.judge import Judge
from tasks.core.labeling.prompts import LabelRequest
from tasks.core.labeling.replies import Judgment
from tasks.core.labeling.stored import stored_label

# A batch that expires is sent again so often; what is left then is asked one by one.
_ROUNDS = 3


class Way(Protocol):
    """A way to label pairs."""

    @property
    def judges(self) -> Sequence[Judge]:
        """Whoever is asked, the one that decides last."""

    def run(
        self, requests: Iterable[LabelRequest], *, max_quarantine_share: float, on_progress: Hear
    ) -> Drained:
        """Label every pair; ``requests`` may be iterated several times."""

    def stored(self, request: LabelRequest) -> Judgment | None:
        """The pair's label after the run; None where it has none."""


@dataclass(frozen=True)
class Live:
    """Every pair by one judge, a call each."""

    judge: Judge

    @property
    def judges(self) -> Sequence[Judge]:
        return (self.judge,)

    def run(
        self, requests: Iterable[LabelRequest], *, max_quarantine_share: float, on_progress: Hear
    ) -> Drained:
        return drain(
            self.judge,
            requests,
            max_quarantine_share=max_quarantine_share,
            on_progress=on_progress,
        )

    def stored(self, request: LabelRequest) -> Judgment | None:
        return stored_label(self.judge, request)


@dataclass(frozen=True)
class Batched(Live):
    """Every pair by one judge, in batches; their state lies in ``folder``.

    It waits for the provider, up to a day. Killed meanwhile, it goes on from the folder: what
    was submitted is polled and merged, and only what is neither answered nor under way is sent.
    """

    folder: Path
    poll_s: float = 60.0
    sleep: Callable[[float], None] = time.sleep

    def run(
        self, requests: Iterable[LabelRequest], *, max_quarantine_share: float, on_progress: Hear
    ) -> Drained:
        before = self.judge.journal.spent_usd(self.judge.run)
        answers = self._by_batches(requests)
        rest = super().run(
            requests, max_quarantine_share=max_quarantine_share, on_progress=on_progress
        )
        rest.progress.calls += answers
        rest.progress.billed_calls += answers
        rest.progress.reused -= answers
        spent = self.judge.journal.spent_usd(self.judge.run) - before
        return replace(rest, spent_usd=spent)

    def _by_batches(self, requests: Iterable[LabelRequest]) -> int:
        """Submit, poll and merge until all is answered; returns how many answers came."""
        desk = BatchDesk(self.judge, self.folder, _client(self.judge))
        answers = 0
        for _ in range(_ROUNDS):
            if not desk.submit(requests) and desk.is_finished:
                break
            while not desk.is_finished:
                desk.poll()
                answers += desk.merge().merged
                if not desk.is_finished:
                    self.sleep(self.poll_s)
        return answers


def _client(judge: Judge) -> openai.OpenAI:
    """A client without retries: a batch that is created twice is paid for twice."""
    endpoint = judge.endpoint
    return openai.OpenAI(
        base_url=endpoint.base_url, api_key=judge.key or api_key(endpoint), max_retries=0
    )
