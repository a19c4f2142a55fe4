"""Label a stream of pairs and keep only the counts: the labels lie in the journal."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tasks.core.labeling.client import label
from tasks.core.labeling.judge import Judge
from tasks.core.labeling.outcomes import Progress, Quarantined
from tasks.core.labeling.prompts import LabelRequest

Hear = Callable[[Progress], None]


@dataclass(frozen=True)
class Drained:
    """What labeling a stream took; ``spent_usd`` is of this pass alone."""

    progress: Progress
    quarantined: list[Quarantined]
    spent_usd: float


def drain(
    judge: Judge,
    requests: Iterable[LabelRequest],
    *,
    max_quarantine_share: float = 1.0,
    on_progress: Hear | None = None,
) -> Drained:
    """Label every pair; memory does not grow with their number. ``stored_label`` reads them.

    Raises:
        CookbookError: as ``label``.
    """
    progress, before = Progress(), judge.journal.spent_usd(judge.run)

    async def collect() -> list[Quarantined]:
        stream = label(
            requests,
            policy=judge.policy,
            endpoint=judge.endpoint,
            journal=judge.journal,
            prompt=judge.prompt,
            key=judge.key,
            price=judge.price,
            budget_usd=judge.budget_usd,
            max_quarantine_share=max_quarantine_share,
            run=judge.run,
            progress=progress,
            on_progress=on_progress,
        )
        return [outcome async for outcome in stream if isinstance(outcome, Quarantined)]

    quarantined = asyncio.run(collect())
    return Drained(progress, quarantined, judge.journal.spent_usd(judge.run) - before)


def combined(passes: Sequence[Drained], pairs: int, quarantined: int) -> Progress:
    """Calls and money of all passes; pairs once each."""
    counts = [passed.progress for passed in passes]
    return Progress(
        finished=pairs,
        labeled=pairs - quarantined,
        reused=sum(one.reused for one in counts),
        quarantined=quarantined,
        calls=sum(one.calls for one in counts),
        billed_calls=sum(one.billed_calls for one in counts),
        possibly_billed=sum(one.possibly_billed for one in counts),
        spent_usd=sum(passed.spent_usd for passed in passes),
    )
