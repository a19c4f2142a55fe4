"""Labels pairs through an endpoint: each pair paid for once, never past the budget.

    with Journal(path) as journal:
        run = label_all(requests, policy=policy, endpoint=endpoint, journal=journal)

Memory does not grow with the number of pairs: requests are drawn from an iterable as workers
come free, and judgments leave through a short queue.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass

from tasks.core.errors import CookbookError
from tasks.core.labeling.budget import Budget, TokenMeter
from tasks.core.labeling.caller import Caller
from tasks.core.labeling.chat import Chat
from tasks.core.labeling.endpoint import Endpoint, api_key
from tasks.core.labeling.journal import Journal
from tasks.core.labeling.labeler import Labeler
from tasks.core.labeling.outcomes import Outcome, Progress, Quarantined
from tasks.core.labeling.prices import FREE, Price, price_of
from tasks.core.labeling.prompts import DEFAULT_PROMPT, LabelRequest, Prompt, answer_schema
from tasks.core.labeling.replies import Judgment
from tasks.core.labeling.throttle import Throttle
from tasks.core.policy import Policy


@dataclass(frozen=True)
class LabelRun:
    """All judgments in the order of the requests, and what they took."""

    judgments: list[Judgment]
    quarantined: list[Quarantined]
    progress: Progress


async def label(
    requests: Iterable[LabelRequest],
    *,
    policy: Policy,
    endpoint: Endpoint,
    journal: Journal,
    prompt: Prompt = DEFAULT_PROMPT,
    key: str | None = None,
    price: Price | None = None,
    budget_usd: float | None = None,
    max_quarantine_share: float = 0.05,
    run: str = "",
    progress: Progress | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> AsyncIterator[Outcome]:
    """Judgments and quarantined pairs as they come, in no fixed order.

    ``key`` is the API key, by default from the environment. ``price`` defaults to the list
    price. ``budget_usd`` caps what the journal knows under the name ``run``, crashes and
    resumptions included. ``on_progress`` is told after every pair.

    Raises:
        CookbookError: the endpoint is down, refuses the key or does not know the model; the
            budget is reached; too large a share is in quarantine. Answers paid for are kept.
    """
    price = price or price_of(endpoint)
    if price is None and budget_usd is not None:
        raise CookbookError(
            f"Expected a known price for {endpoint.model!r} to keep within budget_usd, but the "
            "price table lacks the model; state its price, or leave out the budget."
        )
    progress = progress if progress is not None else Progress()
    schema = answer_schema(policy)
    async with Chat(endpoint, key or api_key(endpoint), schema) as chat:
        caller = Caller(
            endpoint=endpoint,
            chat=chat,
            journal=journal,
            throttle=Throttle(endpoint),
            budget=Budget(budget_usd, journal.spent_usd(run)),
            meter=TokenMeter(extra_bytes=len(str(schema))),
            price=price or FREE,
            run=run,
        )
        labeler = Labeler(caller, policy, prompt, max_quarantine_share, progress, on_progress)
        stream = labeler.outcomes(iter(requests))
        async with aclosing(stream):
            async for outcome in stream:
                yield outcome


def label_all(
    requests: Iterable[LabelRequest],
    *,
    policy: Policy,
    endpoint: Endpoint,
    journal: Journal,
    prompt: Prompt = DEFAULT_PROMPT,
    key: str | None = None,
    price: Price | None = None,
    budget_usd: float | None = None,
    max_quarantine_share: float = 0.05,
    run: str = "",
    on_progress: Callable[[Progress], None] | None = None,
) -> LabelRun:
    """``label`` to the end, without an event loop; judgments in the order of the requests.

    Holds every judgment in memory. Raises as ``label`` does.
    """
    order: dict[str, int] = {}

    def numbered() -> Iterator[LabelRequest]:
        for number, request in enumerate(requests):
            order.setdefault(request.pair_id, number)
            yield request

    progress = Progress()

    async def collect() -> list[Outcome]:
        stream = label(
            numbered(),
            policy=policy,
            endpoint=endpoint,
            journal=journal,
            prompt=prompt,
            key=key,
            price=price,
            budget_usd=budget_usd,
            max_quarantine_share=max_quarantine_share,
            run=run,
            progress=progress,
            on_progress=on_progress,
        )
        return [outcome async for outcome in stream]

    outcomes = sorted(asyncio.run(collect()), key=lambda outcome: order[outcome.pair_id])
    return LabelRun(
        judgments=[outcome for outcome in outcomes if isinstance(outcome, Judgment)],
        quarantined=[outcome for outcome in outcomes if isinstance(outcome, Quarantined)],
        progress=progress,
    )
