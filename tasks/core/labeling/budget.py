"""A budget that no call may exceed, and the token counts that calls are weighed by."""

import asyncio
from dataclasses import dataclass, field

from tasks.core.errors import CookbookError
from tasks.core.labeling.prices import Price
from tasks.core.labeling.prompts import Message
from tasks.core.labeling.replies import Reply

# Roles, separators and the answer's primer cost a few tokens a message beside its text.
_MESSAGE_OVERHEAD = 16


class BudgetReachedError(CookbookError):
    """The next call could exceed the budget; all labels so far are in the journal."""


@dataclass
class TokenMeter:
    """Upper bounds and estimates of a call's tokens, learned from the answers' usage.

    No byte-level tokenizer makes more tokens than bytes, which bounds the first call. Later
    calls repeat the system message, whose tokens are at most those of the smallest prompt
    seen; so only the pair itself is still bounded by its bytes.
    """

    extra_bytes: int  # of the answer schema, which providers put into the prompt
    _prefix_tokens: int | None = None
    _bytes: int = 0
    _input_tokens: int = 0
    _output_tokens: int = 0
    _calls: int = 0

    def input_bound(self, messages: list[Message]) -> int:
        """Tokens that the prompt cannot exceed."""
        sizes = [len(message["content"].encode()) + _MESSAGE_OVERHEAD for message in messages]
        if self._prefix_tokens is None:
            return sum(sizes) + self.extra_bytes
        return min(sum(sizes) + self.extra_bytes, self._prefix_tokens + sum(sizes[1:]))

    def estimate(self, messages: list[Message], max_output_tokens: int) -> float:
        """Tokens to expect, prompt and answer; four characters a token until calls are seen."""
        size = sum(len(message["content"]) for message in messages)
        if not self._calls:
            return size / 4 + max_output_tokens / 4
        return size * self._input_tokens / self._bytes + self._output_tokens / self._calls

    def learn(self, messages: list[Message], reply: Reply) -> None:
        """Take in what one answered call really used."""
        if not reply.input_tokens:
            return
        self._prefix_tokens = min(self._prefix_tokens or reply.input_tokens, reply.input_tokens)
        self._bytes += sum(len(message["content"]) for message in messages)
        self._input_tokens += reply.input_tokens
        self._output_tokens += reply.output_tokens
        self._calls += 1


@dataclass
class Budget:
    """Money spent and reserved; ``spent_usd`` includes what was perhaps billed."""

    limit_usd: float | None
    spent_usd: float = 0.0
    _reserved_usd: float = 0.0
    _in_flight: int = 0
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    async def reserve(self, usd: float) -> None:
        """Set aside the most that a call can cost, waiting for calls in flight to settle.

        Raises:
            BudgetReachedError: even with nothing in flight the call could exceed the limit.
        """
        while self.limit_usd is not None and self._committed + usd > self.limit_usd:
            if not self._in_flight:
                raise BudgetReachedError(
                    f"Expected to stay within budget_usd = {self.limit_usd:.4f}, but "
                    f"${self.spent_usd:.4f} is spent and the next call may cost ${usd:.4f}; the "
                    "labels so far are kept, raise the budget and run again."
                )
            await self._released.wait()
        self._reserved_usd += usd
        self._in_flight += 1

    def spend(self, usd: float) -> None:
        """Count what a call cost or may have cost; its reservation still stands."""
        self.spent_usd += usd

    def release(self, usd: float) -> None:
        """Give back a call's reservation, after its cost is counted."""
        self._in_flight -= 1
        self._reserved_usd = self._reserved_usd - usd if self._in_flight else 0.0
        self._released.set()
        self._released = asyncio.Event()

    @property
    def _committed(self) -> float:
        return self.spent_usd + self._reserved_usd


def most_usd(price: Price, input_bound: int, max_output_tokens: int) -> float:
    """The most a call can cost: every input token fresh, every output token used."""
    return price.of(input_tokens=input_bound, output_tokens=max_output_tokens)
