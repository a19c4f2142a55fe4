"""The embedded judge: an OpenAI-compatible server on loopback around a small scorer. No LLM.

It lets the whole pipeline, the openai client included, run with no key and no network. It
reads the pair and ignores the policy, for its model learned the policy from golden data, and
it answers with one grade and the whole distribution in ``logprobs``; dimensions and clauses are
null because it has none.
"""

import asyncio
import hmac
import json
import math
import secrets
import socket
import threading
import time
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tasks.core.errors import CookbookError
from tasks.core.labeling.endpoint import Endpoint
from tasks.core.labeling.prompts import BLOCK_BEGIN, BLOCK_END

GradeProbabilities = Callable[[list[tuple[str, str]]], npt.NDArray[np.float64]]

_BATCH_ROWS = 32
_LONGEST_WAIT_S = 0.01
_BEFORE_GRADE = '{"dimensions": null, "clauses": null, "grade": '
_AFTER_GRADE = ', "reason": ""}'


@contextmanager
def serve_embedded_judge(
    grade_probabilities: GradeProbabilities, grade_cuts: Sequence[float], *, model_name: str
) -> Iterator[tuple[str, str]]:
    """Serve the model while the block runs; yields the base URL and this run's bearer token.

    ``grade_probabilities`` gets (query and member text, document text) pairs and returns shape
    (pairs, grade_count). It is always called with the same number of rows, so that where it
    pads to a fixed length a pair's answer does not depend on its neighbors. Its answer is the
    expected grade, cut at ``grade_cuts``.
    """
    token = secrets.token_urlsafe(32)
    listener = socket.create_server(("127.0.0.1", 0))
    app = _App(_Batcher(grade_probabilities), grade_cuts, model_name, token)
    server = uvicorn.Server(
        uvicorn.Config(
            app.routes(),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            # Closed after uvicorn's 5 s, a connection may end under a request of a slow client.
            timeout_keep_alive=3600,
        )
    )
    thread = threading.Thread(target=server.run, args=([listener],), name="judge", daemon=True)
    thread.start()
    try:
        _wait_until_started(server, thread)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1", token
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def embedded_endpoint(base_url: str, *, model_name: str) -> Endpoint:
    """The endpoint of an embedded judge: no limits, free, two model batches in flight."""
    return Endpoint(
        base_url=base_url,
        model=model_name,
        api_key_env="",
        requests_per_minute=1e9,
        tokens_per_minute=1e12,
        concurrency=2 * _BATCH_ROWS,
        is_llm=False,
    )


def query_and_member(query: str, member_text: str) -> str:
    """One text of a query and who asks it, joined as the scorers' input template joins them."""
    return f"{query} | {member_text}" if member_text else query


@dataclass
class _App:
    """The two routes that the openai client needs."""

    batcher: "_Batcher"
    grade_cuts: Sequence[float]
    model_name: str
    token: str

    def routes(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/models", self._guarded(self._models)),
                Route("/v1/chat/completions", self._guarded(self._complete), methods=["POST"]),
            ]
        )

    def _guarded(
        self, respond: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        wanted = f"Bearer {self.token}".encode()

        async def guarded(request: Request) -> Response:
            came = request.headers.get("authorization", "").encode()
            if not hmac.compare_digest(came, wanted):
                return _error(401, "Incorrect API key provided.", "invalid_api_key")
            try:
                return await respond(request)
            except ClientDisconnect:  # a run that is stopped: nobody reads this, nor a traceback
                return Response(status_code=400)

        return guarded

    async def _models(self, request: Request) -> Response:
        model = {"id": self.model_name, "object": "model", "created": 0, "owned_by": "cookbook"}
        return JSONResponse({"object": "list", "data": [model]})

    async def _complete(self, request: Request) -> Response:
        try:
            body = json.loads(await request.body())
            pair = _pair_in(body["messages"])
            model = body["model"]
        except (ValueError, KeyError, TypeError, AttributeError):
            return _error(400, "Expected messages with one delimited pair.", "invalid_request")
        if model != self.model_name:
            return _error(404, f"The model here is {self.model_name}.", "model_not_found")
        probabilities = await self.batcher.grade(pair)
        return JSONResponse(_completion(probabilities, self.grade_cuts, self.model_name))


class _Batcher:
    """Gathers requests that come within 10 ms into one model call of a fixed number of rows."""

    def __init__(self, grade_probabilities: GradeProbabilities) -> None:
        self._grade_probabilities = grade_probabilities
        self._waiting: list[tuple[tuple[str, str], asyncio.Future[list[float]]]] = []
        self._full = asyncio.Event()
        self._grading: asyncio.Task[None] | None = None

    async def grade(self, pair: tuple[str, str]) -> list[float]:
        """The pair's probabilities over grades, as soon as its batch is through the model."""
        answer: asyncio.Future[list[float]] = asyncio.get_running_loop().create_future()
        self._waiting.append((pair, answer))
        if len(self._waiting) >= _BATCH_ROWS:
            self._full.set()
        if self._grading is None or self._grading.done():
            self._grading = asyncio.create_task(self._grade_waiting())
        return await answer

    async def _grade_waiting(self) -> None:
        while self._waiting:
            if len(self._waiting) < _BATCH_ROWS:
                self._full.clear()
                await self._wait_for_more()
            batch, self._waiting = self._waiting[:_BATCH_ROWS], self._waiting[_BATCH_ROWS:]
            pairs = [pair for pair, _ in batch]
            padded = pairs + [pairs[-1]] * (_BATCH_ROWS - len(pairs))
            try:
                rows = await asyncio.to_thread(self._grade_probabilities, padded)
            except Exception as error:  # the client shall hear of it, not wait for its timeout
                for _, answer in batch:
                    answer.set_exception(error)
                continue
            for (_, answer), row in zip(batch, rows, strict=False):
                if not answer.done():
                    answer.set_result([float(share) for share in row])

    async def _wait_for_more(self) -> None:
        try:
            async with asyncio.timeout(_LONGEST_WAIT_S):
                await self._full.wait()
        except TimeoutError:
            pass


def _pair_in(messages: list[dict[str, str]]) -> tuple[str, str]:
    """The texts in the last delimited block that a user message holds."""
    for message in reversed(messages):
        before, _, after = message["content"].rpartition(f"\n{BLOCK_END}")
        start = before.find(f"\n{BLOCK_BEGIN}{after}\n")
        if message["role"] == "user" and after and start >= 0:
            block = json.loads(before[start + len(f"\n{BLOCK_BEGIN}{after}\n") :])
            return query_and_member(block["query"], block.get("member", "")), block["document"]
    raise ValueError("no delimited pair")


def _completion(
    probabilities: list[float], grade_cuts: Sequence[float], model_name: str
) -> dict[str, Any]:
    """A chat completion whose grade token bears the whole distribution."""
    expected = sum(value * share for value, share in enumerate(probabilities))
    grade = str(bisect_right(grade_cuts, expected))
    top = [
        {"token": str(value), "logprob": math.log(max(share, 1e-12)), "bytes": None}
        for value, share in enumerate(probabilities)
    ]
    tokens = [
        {"token": _BEFORE_GRADE, "logprob": 0.0, "bytes": None, "top_logprobs": []},
        {**top[int(grade)], "top_logprobs": top},
        {"token": _AFTER_GRADE, "logprob": 0.0, "bytes": None, "top_logprobs": []},
    ]
    message = {"role": "assistant", "content": f"{_BEFORE_GRADE}{grade}{_AFTER_GRADE}"}
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": "stop",
        "logprobs": {"content": tokens, "refusal": None},
    }
    return {
        "id": "chatcmpl-embedded",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model_name,
        "choices": [choice],
        # The encoder's tokens are not what a policy prompt would cost anywhere else.
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    }


def _error(status: int, message: str, code: str) -> Response:
    error = {"message": message, "type": "invalid_request_error", "code": code}
    return JSONResponse({"error": error}, status)


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    while not server.started:
        if not thread.is_alive():
            raise CookbookError("The embedded judge could not start on 127.0.0.1; see the log.")
        time.sleep(0.005)
