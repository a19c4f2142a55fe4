"""A judge: a policy, a prompt and a model behind an endpoint, with the journal that pays once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tasks.core.labeling.client import LabelRun, label_all
from tasks.core.labeling.endpoint import Endpoint
from tasks.core.labeling.journal import Journal
from tasks.core.labeling.outcomes import Progress
from tasks.core.labeling.prices import Price
from tasks.core.labeling.prompts import DEFAULT_PROMPT, LabelRequest, Prompt
from tasks.core.labeling.replies import Judgment
from tasks.core.policy import Policy


@dataclass(frozen=True)
class Judge:
    """Everything that is bound when a judge is asked; a variant is ``replace``d from it."""

    policy: Policy
    endpoint: Endpoint
    journal: Journal
    prompt: Prompt = DEFAULT_PROMPT
    key: str | None = field(default=None, repr=False)
    price: Price | None = None
    budget_usd: float | None = None
    run: str = ""

    def label(
        self,
        requests: Iterable[LabelRequest],
        *,
        max_quarantine_share: float = 0.05,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> LabelRun:
        """``label_all`` with what this judge binds."""
        return label_all(
            requests,
            policy=self.policy,
            endpoint=self.endpoint,
            journal=self.journal,
            prompt=self.prompt,
            key=self.key,
            price=self.price,
            budget_usd=self.budget_usd,
            run=self.run,
            max_quarantine_share=max_quarantine_share,
            on_progress=on_progress,
        )

    def with_prompt(self, prompt: Prompt) -> "Judge":
        return replace(self, prompt=prompt)

    def with_sample(self, sample: int) -> "Judge":
        """The same judge asked once more: other journal keys, so other calls."""
        return replace(self, endpoint=replace(self.endpoint, sample=sample))


@dataclass(frozen=True)
class GoldenPair:
    """A pair that people graded; ``dimension_grades`` where they graded dimensions too."""

    request: LabelRequest
    query_id: str
    grade: int
    dimension_grades: Mapping[str, int | None] = field(default_factory=dict)


def by_pair(run: LabelRun) -> dict[str, Judgment]:
    """Judgments by pair_id; pairs in quarantine are missing."""
    return {judgment.pair_id: judgment for judgment in run.judgments}


def requests_of(pairs: Sequence[GoldenPair]) -> list[LabelRequest]:
    return [pair.request for pair in pairs]
