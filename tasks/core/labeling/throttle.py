"""Rate limits, pauses and probing, shared by all workers of one labeling run."""

import asyncio
from dataclasses import dataclass, field

from aiolimiter import AsyncLimiter

from tasks.core.errors import CookbookError
from tasks.core.labeling.endpoint import Endpoint

# A limit counted by the minute tolerates no full minute's burst on top of a full minute's rate.
_BURST_S = 0.5
_PROBE_PATIENCE_S = 1.0


@dataclass
class Throttle:
    """Admits calls at the endpoint's rate; closes for everybody when the endpoint says wait.

    It starts closed, and after each rate limit it closes again: then one caller alone is let
    through as a probe, and another each second that it stays unanswered. So a bad key costs one
    call, and a storm of 429 is met by one request at a time instead of ``concurrency`` of them.
    """

    endpoint: Endpoint
    _requests: AsyncLimiter = field(init=False)
    _tokens: AsyncLimiter = field(init=False)
    _turn: asyncio.Lock = field(init=False, default_factory=asyncio.Lock)
    _changed: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    _is_open: bool = field(init=False, default=False)
    _is_probing: bool = field(init=False, default=False)
    _resume_at: float = field(init=False, default=0.0)
    _last_progress: float = field(init=False)
    _limited_in_a_row: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._requests = _limiter(self.endpoint.requests_per_minute)
        self._tokens = _limiter(self.endpoint.tokens_per_minute)
        self._last_progress = _now()

    async def admit(self, tokens: float) -> bool:
        """Wait for the turn of a call of about this many tokens; True if it is the probe.

        Every admitted call ends in exactly one of ``passed``, ``failed`` and ``limited``.
        """
        # One at a time: else every worker that waits for its turn when the way closes would have
        # taken of the rate for nothing, and must take of it again.
        async with self._turn:
            while True:
                await self._wait_for_opening()
                is_probe = not self._is_open
                self._is_probing = is_probe
                await self._requests.acquire()
                await self._weigh(tokens)
                if is_probe or self._is_open:
                    return is_probe

    async def _weigh(self, tokens: float) -> None:
        """Wait for a call's tokens, in parts: a long policy exceeds what the bucket holds."""
        while tokens > 0:
            part = min(tokens, self._tokens.max_rate)
            await self._tokens.acquire(part)
            tokens -= part

    def passed(self, *, is_probe: bool) -> None:
        """The endpoint answered; an answered probe opens the way for everybody."""
        self._last_progress = _now()
        if is_probe:
            self._limited_in_a_row = 0
            self._is_open = _now() >= self._resume_at
        self._settle(is_probe)

    def failed(self, *, is_probe: bool, is_refusal: bool) -> None:
        """A call failed. A probe refused for another reason than the rate opens the way too;
        after one that was never answered another may try."""
        if is_probe and is_refusal:
            self._is_open = _now() >= self._resume_at
        self._settle(is_probe)

    def limited(self, retry_after_s: float | None, *, is_probe: bool) -> None:
        """The endpoint asked to wait: close for everybody until then.

        Raises:
            CookbookError: the wait is longer than allowed, or nothing has passed for that long.
        """
        self._limited_in_a_row += 1
        pause = self._backoff() if retry_after_s is None else retry_after_s
        stalled = _now() - self._last_progress
        self._is_open = False
        self._resume_at = max(self._resume_at, _now() + pause)
        self._settle(is_probe)
        if max(pause, stalled) > self.endpoint.longest_pause_s:
            raise CookbookError(
                f"Expected the endpoint {self.endpoint.base_url} to answer again within "
                f"{self.endpoint.longest_pause_s:g} s, but it asks to wait {pause:.0f} s more "
                f"after {stalled:.0f} s without an answer; the labels so far are kept, run again "
                "later."
            )

    def _backoff(self) -> float:
        doublings = min(self._limited_in_a_row - 1, 7)
        # No jitter: one probe speaks for all workers, so there is no herd to scatter.
        return float(self.endpoint.backoff_s * 2**doublings)

    async def _wait_for_opening(self) -> None:
        while True:
            if (pause := self._resume_at - _now()) > 0:
                await asyncio.sleep(pause)
            elif self._is_open or not self._is_probing or await self._nothing_changes():
                return

    async def _nothing_changes(self) -> bool:
        """True if the probe stays unanswered so long that another one should try."""
        try:
            async with asyncio.timeout(_PROBE_PATIENCE_S):
                await self._changed.wait()
        except TimeoutError:
            return True
        return False

    def _settle(self, is_probe: bool) -> None:
        if is_probe:
            self._is_probing = False
        self._changed.set()
        self._changed = asyncio.Event()


def _limiter(per_minute: float) -> AsyncLimiter:
    """A leaky bucket of this rate whose burst is half a second, or one of what it counts."""
    burst = max(per_minute / 60 * _BURST_S, 1.0)
    return AsyncLimiter(burst, burst / per_minute * 60)


def _now() -> float:
    return asyncio.get_running_loop().time()
