"""The one way a request is paid for: budget, turn, intent on the disk, call, outcome noted."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.wait import wait_random_exponential

from tasks.core.errors import CookbookError
from tasks.core.labeling.budget import Budget, TokenMeter, most_usd
from tasks.core.labeling.chat import CallFailedError, CallRejectedError, Chat
from tasks.core.labeling.endpoint import Endpoint
from tasks.core.labeling.journal import Failure, Journal, member_mark
from tasks.core.labeling.prices import Price
from tasks.core.labeling.prompts import Message
from tasks.core.labeling.replies import Reply
from tasks.core.labeling.throttle import Throttle
from tasks.core.store.faults import fault_point


@dataclass
class Caller:
    """Makes the calls of one labeling run; every attempt passes ``_attempt`` and the journal."""

    endpoint: Endpoint
    chat: Chat
    journal: Journal
    throttle: Throttle
    budget: Budget
    meter: TokenMeter
    price: Price
    run: str
    calls: int = 0
    perhaps_billed: int = 0
    in_flight: set[asyncio.Task[object]] = field(default_factory=set)
    stop: Exception | None = None
    _model: str | None = field(init=False)
    _answered: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._model = self.endpoint.pinned_model

    def paid_answer(self, key: str) -> Reply | None:
        """The journal's answer under this key; one of another model than the pin is none.

        Raises:
            CookbookError: without a pin, the journal's answers come from several models.
        """
        reply = self.journal.result(key)
        if reply is not None and reply.model != self.endpoint.pinned_model is not None:
            return None
        if reply is not None:
            self._check_model(reply)
        return reply

    async def answer(
        self, key: str, pair_id: str, messages: list[Message], *, member_id: str
    ) -> Reply:
        """The answer to these messages, from as many attempts as the endpoint's limits allow.

        ``pair_id`` and ``member_id`` are what the journal knows the call by; they are not sent.

        Raises:
            CallFailedError: every attempt failed on the way.
            CallRejectedError: the endpoint refuses the request for its content.
            CookbookError: the run cannot go on: key, quota, model, address, budget, disk.
        """
        attempts = AsyncRetrying(
            retry=retry_if_exception_type(CallFailedError),
            stop=_exhausted(self.endpoint.max_attempts),
            wait=_backoff(self.endpoint),
            reraise=True,
        )
        reply: Reply = await attempts(self._attempt, key, pair_id, member_id, messages)
        return reply

    async def _attempt(
        self, key: str, pair_id: str, member_id: str, messages: list[Message]
    ) -> Reply:
        if self.stop:
            raise self.stop
        most = most_usd(
            self.price, self.meter.input_bound(messages), self.endpoint.max_output_tokens
        )
        await self.budget.reserve(most)
        try:
            size = self.meter.estimate(messages, self.endpoint.max_output_tokens)
            is_probe = await self.throttle.admit(size)
            with self._flying():
                about = {"pair_id": pair_id, "member": member_mark(member_id)}
                billed = self.endpoint.is_llm
                self.journal.intend(key, **about, usd=most, run=self.run, billed=billed)
                await self.journal.commit()
                fault_point("label_after_intent")
                return await self._call(key, messages, most, is_probe=is_probe)
        finally:
            self.budget.release(most)

    async def _call(
        self, key: str, messages: list[Message], most_usd: float, *, is_probe: bool
    ) -> Reply:
        self.calls += 1
        try:
            reply = await self.chat.ask(messages)
        except asyncio.CancelledError:
            self._note(key, Failure("canceled", perhaps_billed=True), most_usd)
            raise
        except CallFailedError as error:
            self._note(key, error.failure, most_usd)
            self._wait_or_give_up(error, is_probe=is_probe)
            raise
        except (CallRejectedError, CookbookError) as error:
            self._note(key, Failure(type(error).__name__, perhaps_billed=False), most_usd)
            self.throttle.failed(is_probe=is_probe, is_refusal=True)
            self._refuse_if_first(error)
            raise
        self.throttle.passed(is_probe=is_probe)
        return self._keep(key, messages, reply, most_usd)

    @contextmanager
    def _flying(self) -> Iterator[None]:
        """Mark this worker's call as under way: it is paid for, so it is not to be canceled."""
        task = asyncio.current_task()
        assert task is not None  # always inside a worker
        self.in_flight.add(task)
        try:
            yield
        finally:
            self.in_flight.discard(task)

    def _keep(self, key: str, messages: list[Message], reply: Reply, most_usd: float) -> Reply:
        fault_point("label_after_reply")
        # An endpoint that reports no usage is taken to have used all that it could.
        cost = self.price.of_reply(reply) if reply.input_tokens else most_usd
        self.meter.learn(messages, reply)
        try:
            self._check_model(reply)
        except CookbookError:
            self._note(key, Failure("other_model", perhaps_billed=True, detail=reply.model), cost)
            raise
        self.budget.spend(cost)
        self.journal.answer(key, reply, usd=cost, run=self.run)
        fault_point("label_after_result")
        self._answered = True
        return reply

    def _note(self, key: str, failure: Failure, usd: float) -> None:
        self.journal.fail(key, failure, usd=usd, run=self.run)
        if failure.perhaps_billed:
            self.budget.spend(usd)
            self.perhaps_billed += self.endpoint.is_llm

    def _wait_or_give_up(self, error: CallFailedError, *, is_probe: bool) -> None:
        if error.is_rate_limit or error.retry_after_s is not None:
            self.throttle.limited(error.retry_after_s, is_probe=is_probe)
            return
        refused = error.failure.fault.startswith("http_")
        self.throttle.failed(is_probe=is_probe, is_refusal=refused)
        if error.failure.fault == "unreachable" and not self._answered:
            raise CookbookError(
                f"Expected an OpenAI-compatible endpoint at {self.endpoint.base_url}, but nothing "
                "answers there; start it or mend the address."
            )

    def _refuse_if_first(self, error: Exception) -> None:
        """The very first request refused for its form: so would be all others."""
        if isinstance(error, CallRejectedError) and not self._answered:
            raise CookbookError(
                f"Expected {self.endpoint.base_url} to take the request, but it answers "
                f"{error.failure.fault} ({error.failure.detail}); try another answer_format, "
                "output_limit_field, temperature or top_logprobs for this endpoint."
            )

    def _check_model(self, reply: Reply) -> None:
        self._model = self._model or reply.model
        if reply.model != self._model:
            raise CookbookError(
                f"Expected every answer from the model {self._model!r}, but one came from "
                f"{reply.model!r}; pin the model to a dated name and run again."
            )


def _exhausted(max_attempts: int) -> Callable[[RetryCallState], bool]:
    """Stop after so many failures; rate limits are bounded by the throttle instead."""
    failures = 0

    def stop(state: RetryCallState) -> bool:
        nonlocal failures
        error = state.outcome.exception() if state.outcome else None
        failures += isinstance(error, CallFailedError) and not error.is_rate_limit
        return failures >= max_attempts

    return stop


def _backoff(endpoint: Endpoint) -> Callable[[RetryCallState], float]:
    """Random exponential waits after failures; after a rate limit the throttle does the waiting."""
    exponential = wait_random_exponential(multiplier=endpoint.backoff_s, max=60)

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        limited = isinstance(error, CallFailedError) and error.is_rate_limit
        return 0.0 if limited else exponential(state)

    return wait
