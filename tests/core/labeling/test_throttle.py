"""Calls go as fast as the limits allow and no faster, in a time that no other process takes."""

import asyncio
import selectors
from collections.abc import Coroutine
from itertools import pairwise
from typing import Any

import pytest

from tasks.core.labeling.endpoint import Endpoint
from tasks.core.labeling.throttle import Throttle


class _Skipping(selectors.DefaultSelector):
    """Where everybody waits, the time that they wait for has come; a turn takes a microsecond."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        self.now += 1e-6 if ready else max(timeout or 0.0, 1e-6)
        return ready


class _TimelessLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _Skipping()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def moments(work: Coroutine[Any, Any, list[float]]) -> list[float]:
    with asyncio.Runner(loop_factory=_TimelessLoop) as runner:
        return runner.run(work)


async def admitted(count: int, *, tokens: float, **limits: float) -> list[float]:
    """Seconds at which calls are let through that are all answered at once."""
    limits = {"requests_per_minute": 1e9, "tokens_per_minute": 1e12} | limits
    throttle = Throttle(Endpoint("http://127.0.0.1:1/v1", "m", **limits))  # type: ignore[arg-type]
    at = []

    async def call() -> None:
        is_probe = await throttle.admit(tokens)
        at.append(asyncio.get_running_loop().time())
        throttle.passed(is_probe=is_probe)

    await asyncio.gather(*(call() for _ in range(count)))
    return at


def test_requests_go_at_the_rate_after_a_burst_of_half_a_second() -> None:
    at = moments(admitted(61, tokens=1.0, requests_per_minute=2400.0))
    assert at[19] == pytest.approx(0.0, abs=1e-3)
    gaps = [later - earlier for earlier, later in pairwise(at[20:])]
    assert gaps == pytest.approx([1 / 40] * 40, rel=1e-2)


def test_tokens_go_at_the_rate_after_a_burst_of_half_a_second() -> None:
    """1,000 tokens a call at 10,000 a second: five at once, then ten a second."""
    at = moments(admitted(50, tokens=1_000.0, tokens_per_minute=600_000.0))
    assert at[4] == pytest.approx(0.0, abs=1e-3)
    gaps = [later - earlier for earlier, later in pairwise(at[5:])]
    assert gaps == pytest.approx([0.1] * 44, rel=1e-2)


def test_while_a_probe_is_unanswered_another_goes_each_second() -> None:
    async def unanswered() -> list[float]:
        throttle = Throttle(Endpoint("http://127.0.0.1:1/v1", "m"))
        at = []

        async def call() -> None:
            assert await throttle.admit(1.0)
            at.append(asyncio.get_running_loop().time())

        await asyncio.gather(*(call() for _ in range(4)))
        return at

    assert moments(unanswered()) == pytest.approx([0.0, 1.0, 2.0, 3.0], abs=1e-3)
