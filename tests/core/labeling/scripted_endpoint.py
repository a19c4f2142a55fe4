"""An OpenAI-compatible endpoint that does what a script says, and counts what it would bill.

It is the network's far end, the only thing these tests fake. It speaks HTTP/1.1 on loopback
from a thread of its own, so that the code under test may block, be killed and start again.
"""

import asyncio
import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

_BLOCK = re.compile(
    r"BEGIN (PAIR|SOURCE) (?P<mark>\w+)\n(?P<block>.*)\nEND \1 (?P=mark)", re.DOTALL
)


@dataclass(frozen=True)
class Call:
    """A request as the endpoint sees it; ``number`` counts from 1 over the whole run."""

    number: int
    attempt: int  # how many times this very pair has been asked for
    pair: dict[str, str]
    messages: list[dict[str, str]]
    body: dict[str, Any]
    headers: dict[str, str]
    at: float

    @property
    def is_repair(self) -> bool:
        return len(self.messages) > 2


@dataclass(frozen=True)
class Answer:
    """What the endpoint does with a call."""

    text: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None  # raw bytes in place of a completion
    error_code: str | None = None
    error_message: str = "scripted"
    finish_reason: str = "stop"
    refusal: str | None = None
    model: str | None = None
    logprobs: list[dict[str, Any]] | None = None
    delay_s: float = 0.0
    until: Callable[[], bool] = lambda: True  # held back until this is so
    then: Literal["answer", "hang", "drop", "drop_mid_body"] = "answer"
    usage: tuple[int, int] = (1000, 50)
    billed: bool | None = None  # None: what has status 200 is

    @property
    def is_billed(self) -> bool:
        return self.status == 200 if self.billed is None else self.billed


Script = Callable[[Call], Answer]


class ScriptedEndpoint:
    """Runs a script on 127.0.0.1; ``calls`` and ``billed`` tell what happened."""

    def __init__(
        self, script: Script, *, model: str = "scripted-1", keep_calls: bool = True
    ) -> None:
        self.script, self.model, self.keep_calls = script, model, keep_calls
        self.calls: list[Call] = []
        self.call_count = 0
        self.billed: Counter[str] = Counter()  # by the pair's document
        self.billed_calls = 0
        self.most_at_once = 0
        self._at_once = 0
        self._asked: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        start = asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**24)
        self._server = asyncio.run_coroutine_threadsafe(start, self._loop).result()
        self._port: int = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        async def end() -> None:
            self._server.close()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._serve_one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])
        }
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            answer = self._answer(body, headers)
            while not answer.until():
                await asyncio.sleep(0.01)
            await asyncio.sleep(answer.delay_s)
            if answer.then == "hang":
                await asyncio.sleep(3600)
        finally:
            self._at_once -= 1
        return await self._send(answer, writer)

    async def _send(self, answer: Answer, writer: asyncio.StreamWriter) -> bool:
        if answer.then == "drop":
            return False
        content = self._content(answer)
        lines = [f"HTTP/1.1 {answer.status} Scripted", f"content-length: {len(content)}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        head = "\r\n".join([*lines, "content-type: application/json"]).encode()
        sent = content[: len(content) // 2] if answer.then == "drop_mid_body" else content
        writer.write(head + b"\r\n\r\n" + sent)
        await writer.drain()
        return answer.then == "answer"

    def _answer(self, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        # The pair stands in the first user message; a repair adds messages after it.
        found = next((m for m in map(_block_in, body["messages"]) if m), None)
        if found is None:  # some clients ask for a greeting first, to read the headers
            return Answer("Hello.", billed=False)
        pair = json.loads(found["block"])
        self._asked[pair["document"]] += 1
        call = Call(
            number=self.call_count + 1,
            attempt=self._asked[pair["document"]],
            pair=pair,
            messages=body["messages"],
            body=body,
            headers=headers,
            at=self._loop.time(),
        )
        self.call_count += 1
        if self.keep_calls:
            self.calls.append(call)
        answer = self.script(call)
        if answer.is_billed:
            self.billed_calls += 1
            self.billed[pair["document"]] += 1
        return answer

    def _content(self, answer: Answer) -> bytes:
        if answer.body is not None:
            return answer.body
        if answer.status != 200:
            error = {"message": answer.error_message, "code": answer.error_code, "type": "x"}
            return json.dumps({"error": error}).encode()
        message = {"role": "assistant", "content": answer.text, "refusal": answer.refusal}
        choice: dict[str, Any] = {
            "index": 0,
            "message": message,
            "finish_reason": answer.finish_reason,
        }
        if answer.logprobs is not None:
            choice["logprobs"] = {"content": answer.logprobs}
        input_tokens, output_tokens = answer.usage
        usage = {
            "prompt_tokens": input_tokens,
            "completion_tokens": output_tokens,
            "total_tokens": input_tokens + output_tokens,
        }
        completion = {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": answer.model or self.model,
            "choices": [choice],
            "usage": usage,
        }
        return json.dumps(completion).encode()


def _block_in(message: dict[str, Any]) -> re.Match[str] | None:
    return _BLOCK.search(message["content"]) if message["role"] == "user" else None


def grade_answer(grade: int, *, clauses: tuple[str, ...] = ("NEED-1",)) -> str:
    """A valid answer under the policy of conftest.py that grades both dimensions alike."""
    dimensions = [{"id": name, "evidence": "quoted", "grade": grade} for name in ("NEED", "PLACE")]
    return json.dumps(
        {
            "dimensions": dimensions,
            "clauses": list(clauses),
            "grade": grade,
            "reason": "It says so.",
        }
    )
