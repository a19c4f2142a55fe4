"""One attempt at one call: the openai client without its retries, and what can go wrong.

The client's own retries are off because they would pay again without the journal knowing. The
raw body is parsed here, so that no pydantic model turns a strange answer into a plausible one.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

import httpx2
import openai

from tasks.core.errors import CookbookError
from tasks.core.labeling.endpoint import Endpoint
from tasks.core.labeling.grade_tokens import grade_token_logprobs
from tasks.core.labeling.journal import Failure
from tasks.core.labeling.prompts import Message
from tasks.core.labeling.replies import Reply
from tasks.core.text import sanitize

_PATH = "/chat/completions"
_OUT_OF_MONEY = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
_TRANSIENT = {408, 409, 425}


class CallFailedError(Exception):
    """An attempt without an answer that may be tried again."""

    def __init__(
        self, failure: Failure, *, is_rate_limit: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(failure.fault)
        self.failure = failure
        self.is_rate_limit = is_rate_limit
        self.retry_after_s = retry_after_s


class CallRejectedError(Exception):
    """The endpoint refused this one request for what it holds; trying again is no use."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.fault)
        self.failure = failure


class Chat:
    """An open connection to an endpoint; use it in an ``async with`` block."""

    def __init__(self, endpoint: Endpoint, key: str, schema: Mapping[str, object]) -> None:
        self.endpoint = endpoint
        self._key = key
        self._settings = request_settings(endpoint, schema)
        # At DEBUG these print whole requests: members' texts have no place in a log.
        for name in ("openai", "httpx2", "httpcore2"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._http = httpx2.AsyncClient(
            timeout=endpoint.timeout_s,
            limits=httpx2.Limits(
                max_connections=endpoint.concurrency,
                max_keepalive_connections=endpoint.concurrency,
            ),
            # Loading the certificates takes longer than a whole run against this machine.
            verify=endpoint.base_url.startswith("https:"),
            # A proxy named in the environment must not see what is meant for this machine.
            trust_env=not endpoint.is_loopback,
        )
        self._client = openai.AsyncOpenAI(
            base_url=endpoint.base_url, api_key=key, max_retries=0, http_client=self._http
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._client.close()

    async def ask(self, messages: list[Message]) -> Reply:
        """The answer to one request.

        Raises:
            CallFailedError: no answer came, and the attempt may be repeated.
            CallRejectedError: the endpoint refuses this request for its content.
            CookbookError: no request will succeed: key, quota, model or address is wrong.
        """
        problem: Exception
        try:
            async with asyncio.timeout(self.endpoint.timeout_s):
                response = await self._client.post(
                    _PATH,
                    body={"messages": messages, **self._settings},
                    cast_to=httpx2.Response,
                )
            return _parse_body(response.content)
        except (openai.APITimeoutError, TimeoutError) as error:
            sent = not isinstance(error.__cause__, httpx2.ConnectTimeout | httpx2.PoolTimeout)
            problem = CallFailedError(Failure("timeout", perhaps_billed=sent))
        except openai.APIStatusError as error:
            problem = self._explain(error)
        except openai.APIConnectionError as error:
            unreachable = isinstance(error.__cause__, httpx2.ConnectError)
            fault = "unreachable" if unreachable else "dropped"
            problem = CallFailedError(Failure(fault, perhaps_billed=not unreachable))
        # Raised outside the except block: the client's own error, chained as context, may quote
        # the key.
        raise problem

    def _explain(self, error: openai.APIStatusError) -> Exception:
        """What an HTTP error means for the run: stop, wait, try again, or give up this pair."""
        status, said = error.status_code, self._redacted(error)
        if status in (401, 403) or (status == 429 and error.code in _OUT_OF_MONEY):
            return self._refused(status, said)
        if status == 404 or error.code == "model_not_found":
            return CookbookError(
                f"Expected {self.endpoint.base_url} to know the model {self.endpoint.model!r}, but "
                f"it answers {status} ({said}); mend the model's name or the address."
            )
        wait = _retry_after(error.response.headers)
        if status == 429:
            failure = Failure("rate_limited", perhaps_billed=False, detail=said)
            return CallFailedError(failure, is_rate_limit=True, retry_after_s=wait)
        if status >= 500 or status in _TRANSIENT:
            failure = Failure(f"http_{status}", perhaps_billed=True, detail=said)
            return CallFailedError(failure, retry_after_s=wait)
        if error.code == "content_filter":
            return CallRejectedError(Failure("content_filter", perhaps_billed=False, detail=said))
        return CallRejectedError(Failure(f"http_{status}", perhaps_billed=False, detail=said))

    def _refused(self, status: int, said: str) -> CookbookError:
        if status == 429:
            return CookbookError(
                f"Expected credit at {self.endpoint.base_url}, but the account has none left "
                f"({said}); top it up and run again, the labels so far are kept."
            )
        return CookbookError(
            f"Expected {self.endpoint.base_url} to accept the key in "
            f"{self.endpoint.api_key_env or '(no variable named)'}, but it answers {status} "
            f"({said}); set a valid key and run again."
        )

    def _redacted(self, error: openai.APIStatusError) -> str:
        body = error.body
        message = body.get("message") if isinstance(body, dict) else None
        text = sanitize(str(message or error.response.reason_phrase))
        return text.replace(self._key, "***")[:200]


def request_settings(endpoint: Endpoint, schema: Mapping[str, object]) -> dict[str, Any]:
    """The part of a request body that is the same for every pair."""
    settings: dict[str, Any] = {
        "model": endpoint.model,
        endpoint.output_limit_field: endpoint.max_output_tokens,
    }
    if endpoint.temperature is not None:
        settings["temperature"] = endpoint.temperature
    if endpoint.top_logprobs is not None:
        settings |= {"logprobs": True, "top_logprobs": endpoint.top_logprobs}
    if endpoint.answer_format == "json_schema":
        form = {"name": "judgment", "strict": True, "schema": schema}
        settings["response_format"] = {"type": "json_schema", "json_schema": form}
    elif endpoint.answer_format == "json_object":
        settings["response_format"] = {"type": "json_object"}
    return settings


def parse_completion(completion: Any) -> Reply:
    """The reply in a chat completion's JSON.

    Raises:
        CallFailedError: it is no chat completion; it was perhaps billed all the same.
    """
    try:
        choice = completion["choices"][0]
        message, usage = choice["message"], completion.get("usage") or {}
        text = message.get("content") or ""
        tokens = (choice.get("logprobs") or {}).get("content") or []
        details = usage.get("prompt_tokens_details") or {}
        return Reply(
            text=str(text),
            model=str(completion.get("model") or ""),
            finish_reason=_text_or_none(choice.get("finish_reason")),
            refusal=_text_or_none(message.get("refusal")),
            grade_logprobs=grade_token_logprobs(str(text), tokens),
            input_tokens=_count(usage.get("prompt_tokens")),
            cached_tokens=_count(details.get("cached_tokens")),
            output_tokens=_count(usage.get("completion_tokens")),
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _malformed(error) from None


def _text_or_none(found: object) -> str | None:
    return None if found is None else str(found)


def _count(found: object) -> int:
    """A number of tokens; what is none counts as not reported."""
    return found if type(found) is int and found >= 0 else 0


def _parse_body(body: bytes) -> Reply:
    try:
        completion = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _malformed(error) from None
    return parse_completion(completion)


def _malformed(error: Exception) -> CallFailedError:
    detail = type(error).__name__
    return CallFailedError(Failure("malformed_body", perhaps_billed=True, detail=detail))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by the Retry-After header, which is a number or a date; None without."""
    if (milliseconds := headers.get("retry-after-ms", "")).replace(".", "", 1).isdigit():
        return float(milliseconds) / 1000
    value = headers.get("retry-after", "").strip()
    if value.replace(".", "", 1).isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
