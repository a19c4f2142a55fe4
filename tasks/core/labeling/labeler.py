"""The workers of a labeling run: draw a pair, judge it once, repair once, or quarantine it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field

from tasks.core.errors import CookbookError
from tasks.core.labeling.caller import Caller
from tasks.core.labeling.chat import CallFailedError, CallRejectedError
from tasks.core.labeling.outcomes import Outcome, Progress, Quarantined
from tasks.core.labeling.prompts import (
    LabelRequest,
    Message,
    Prompt,
    repair_key,
    repair_messages,
    request_key,
    request_messages,
)
from tasks.core.labeling.replies import Judgment, Reply, ReplyError, Status, parse_reply
from tasks.core.policy import Policy

Outbox = asyncio.Queue[Outcome | None]

# Below this many finished pairs a quarantine share says nothing yet.
_ENOUGH_TO_STOP = 200


@dataclass
class Labeler:
    """The workers of one run, and what stops them."""

    caller: Caller
    policy: Policy
    prompt: Prompt
    max_quarantine_share: float
    progress: Progress
    on_progress: Callable[[Progress], None] | None
    _workers: list[asyncio.Task[None]] = field(default_factory=list)
    _being_judged: dict[str, asyncio.Event] = field(default_factory=dict)

    async def outcomes(self, source: Iterator[LabelRequest]) -> AsyncGenerator[Outcome, None]:
        concurrency = self.caller.endpoint.concurrency
        done: Outbox = asyncio.Queue(2 * concurrency)
        self._workers = [asyncio.create_task(self._work(source, done)) for _ in range(concurrency)]
        finisher = asyncio.create_task(self._finish(done))
        try:
            while (outcome := await done.get()) is not None:
                self._count(outcome)
                yield outcome
        finally:
            for task in (*self._workers, finisher):
                task.cancel()
            await asyncio.gather(*self._workers, finisher, return_exceptions=True)
            self._tally()
        if self.caller.stop:
            raise self.caller.stop
        self._check_quarantine(enough=1)

    async def _work(self, source: Iterator[LabelRequest], done: Outbox) -> None:
        try:
            for request in source:
                await done.put(await self._judge_once(request))
                self._check_quarantine(enough=_ENOUGH_TO_STOP)
                if self.caller.stop:
                    return
        except Exception as error:  # whatever it is, the run ends in order and raises it
            self._halt(error)

    def _halt(self, error: Exception) -> None:
        """Let calls in flight end, since they are paid for; nobody begins another one."""
        self.caller.stop = self.caller.stop or error
        for worker in self._workers:
            if worker not in self.caller.in_flight:
                worker.cancel()

    async def _finish(self, done: Outbox) -> None:
        await asyncio.gather(*self._workers, return_exceptions=True)
        await done.put(None)

    async def _judge_once(self, request: LabelRequest) -> Outcome:
        """Judge one pair; of two pairs with the same texts the second waits for the first."""
        key = request_key(self.policy, request, self.prompt, self.caller.endpoint)
        while key in self._being_judged:
            await self._being_judged[key].wait()
        self._being_judged[key] = asyncio.Event()
        try:
            return await self._judge(request, key)
        finally:
            self._being_judged.pop(key).set()

    async def _judge(self, request: LabelRequest, key: str) -> Outcome:
        """The judgment; after a bad answer one repair, and after a bad repair quarantine."""
        reply: Reply | None = None
        try:
            reply = await self._answer(request, key)
            try:
                return self._parse(request, reply, Status.LABELED)
            except ReplyError as error:
                reply = await self._repair(request, key, reply, error)
                return self._parse(request, reply, Status.REPAIRED)
        except ReplyError as error:
            raw_text = reply.text if reply else ""
            return Quarantined(request.pair_id, error.status, error.problem, raw_text)
        except (CallFailedError, CallRejectedError) as error:
            filtered = error.failure.fault == "content_filter"
            status = Status.FILTERED if filtered else Status.UNANSWERED
            return Quarantined(request.pair_id, status, error.failure.fault, "")

    async def _answer(self, request: LabelRequest, key: str) -> Reply:
        paid = self.caller.paid_answer(key)
        if paid is not None:
            self.progress.reused += 1
            return paid
        messages = request_messages(self.policy, request, self.prompt)
        return await self._ask(request, key, messages)

    async def _repair(
        self, request: LabelRequest, key: str, bad: Reply, error: ReplyError
    ) -> Reply:
        paid = self.caller.paid_answer(repair_key(key))
        if paid is not None:
            return paid
        messages = request_messages(self.policy, request, self.prompt)
        messages = repair_messages(messages, bad.text, error.problem)
        return await self._ask(request, repair_key(key), messages)

    async def _ask(self, request: LabelRequest, key: str, messages: list[Message]) -> Reply:
        return await self.caller.answer(key, request.pair_id, messages, member_id=request.member_id)

    def _parse(self, request: LabelRequest, reply: Reply, status: Status) -> Judgment:
        return parse_reply(
            reply,
            self.policy,
            pair_id=request.pair_id,
            prompt_hash=self.prompt.digest,
            needs_dimensions=self.caller.endpoint.is_llm,
            status=status,
        )

    def _count(self, outcome: Outcome) -> None:
        progress = self.progress
        progress.finished += 1
        progress.by_status[outcome.status] += 1
        if isinstance(outcome, Judgment):
            progress.labeled += 1
            progress.disagreeing += outcome.grade != outcome.stated_grade
        else:
            progress.quarantined += 1
        self._tally()
        if self.on_progress:
            self.on_progress(progress)

    def _tally(self) -> None:
        progress, caller = self.progress, self.caller
        progress.calls = caller.calls
        progress.billed_calls = caller.calls if caller.endpoint.is_llm else 0
        progress.possibly_billed = caller.perhaps_billed + caller.journal.perhaps_billed_in_crash
        progress.spent_usd = caller.budget.spent_usd

    def _check_quarantine(self, *, enough: int) -> None:
        """Raise once too large a share of the finished pairs has no label."""
        finished, quarantined = self.progress.finished, self.progress.quarantined
        if finished < enough or quarantined <= self.max_quarantine_share * finished:
            return
        kinds = ", ".join(
            f"{count} {status}"
            for status, count in self.progress.by_status.most_common()
            if status not in (Status.LABELED, Status.REPAIRED)
        )
        raise CookbookError(
            f"Expected at most {self.max_quarantine_share:.0%} of the pairs without a usable "
            f"answer, but {quarantined} of {finished} are in quarantine ({kinds}); read their "
            f"raw texts in {self.caller.journal.path} and mend the prompt or the endpoint."
        )
