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
from typing import Required, TypedDict, Unpack

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

_MOST_QUARANTINED = 0.05


class LabelOptions(TypedDict, total=False):
    """How ``label`` and ``label_all`` ask; all but the first three have defaults.

    ``key`` is the API key, by default from the environment. ``price`` defaults to the list
    price. ``budget_usd`` caps what the journal knows under the name ``run``, crashes and
    resumptions included. ``max_quarantine_share`` (default 0.05) is the share of pairs without
    a usable answer that ends the run. ``on_progress`` is told after every pair.
    """

    policy: Required[Policy]
    endpoint: Required[Endpoint]
    journal: Required[Journal]
    prompt: Prompt
    key: str | None
    price: Price | None
    budget_usd: float | None
    max_quarantine_share: float
    run: str
    on_progress: Callable[[Progress], None] | None


@dataclass(frozen=True)
class LabelRun:
    """All judgments in the order of the requests, and what they took."""

    judgments: list[Judgment]
    quarantined: list[Quarantined]
    progress: Progress


async def label(
    requests: Iterable[LabelRequest],
    *,
    progress: Progress | None = None,
    **options: Unpack[LabelOptions],
) -> AsyncIterator[Outcome]:
    """Judgments and quarantined pairs as they come, in no fixed order.

    Raises:
        CookbookError: the endpoint is down, refuses the key or does not know the model; the
            budget is reached; too large a share is in quarantine. Answers paid for are kept.
    """
    endpoint, policy = options["endpoint"], options["policy"]
    price = _price(options)
    schema = answer_schema(policy)
    async with Chat(endpoint, options.get("key") or api_key(endpoint), schema) as chat:
        labeler = Labeler(
            _caller(chat, options, price, extra_bytes=len(str(schema))),
            policy,
            options.get("prompt", DEFAULT_PROMPT),
            options.get("max_quarantine_share", _MOST_QUARANTINED),
            progress if progress is not None else Progress(),
            options.get("on_progress"),
        )
        stream = labeler.outcomes(iter(requests))
        async with aclosing(stream):
            async for outcome in stream:
                yield outcome


def label_all(requests: Iterable[LabelRequest], **options: Unpack[LabelOptions]) -> LabelRun:
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
        return [outcome async for outcome in label(numbered(), progress=progress, **options)]

    outcomes = sorted(asyncio.run(collect()), key=lambda outcome: order[outcome.pair_id])
    return LabelRun(
        judgments=[outcome for outcome in outcomes if isinstance(outcome, Judgment)],
        quarantined=[outcome for outcome in outcomes if isinstance(outcome, Quarantined)],
        progress=progress,
    )


def _price(options: LabelOptions) -> Price:
    endpoint = options["endpoint"]
    price = options.get("price") or price_of(endpoint)
    if price is None and options.get("budget_usd") is not None:
        raise CookbookError(
            f"Expected a known price for {endpoint.model!r} to keep within budget_usd, but the "
            "price table lacks the model; state its prices (input_usd, cached_input_usd and "
            "output_usd per million tokens; 0 for a server of your own), or leave out the budget."
        )
    return price or FREE


def _caller(chat: Chat, options: LabelOptions, price: Price, *, extra_bytes: int) -> Caller:
    endpoint, journal, run = options["endpoint"], options["journal"], options.get("run", "")
    return Caller(
        endpoint=endpoint,
        chat=chat,
        journal=journal,
        throttle=Throttle(endpoint),
        budget=Budget(options.get("budget_usd"), journal.spent_usd(run)),
        meter=TokenMeter(extra_bytes=extra_bytes),
        price=price,
        run=run,
    )
