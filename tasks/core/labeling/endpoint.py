"""Where the judge answers, and what it may be asked: address, model, limits, sampling."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tasks.core.errors import CookbookError
from tasks.core.labeling.address import is_loopback

AnswerFormat = Literal["json_schema", "json_object", "text"]


@dataclass(frozen=True)
class Endpoint:
    """One OpenAI-compatible endpoint and the limits that all workers share.

    Holds the *name* of the environment variable with the key, never the key: an endpoint is
    printed, hashed and stored.
    """

    base_url: str
    model: str
    api_key_env: str = "OPENAI_API_KEY"
    requests_per_minute: float = 600.0
    tokens_per_minute: float = 1_000_000.0
    concurrency: int = 16
    timeout_s: float = 120.0  # for the whole answer, not for the next byte
    max_attempts: int = 6  # per pair; waiting out rate limits is not counted
    backoff_s: float = 0.5  # first wait after a failure; doubles
    longest_pause_s: float = 900.0  # a longer Retry-After ends the run with its labels kept
    temperature: float | None = 0.0  # None where the model takes no other than its own
    top_logprobs: int | None = 20  # None: the endpoint gives no log-probabilities
    max_output_tokens: int = 1500
    output_limit_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    answer_format: AnswerFormat = "json_schema"
    pinned_model: str | None = None  # the name every reply must bear; None: the first reply's
    sample: int = 0  # counts repeated samples of one pair, which are different calls
    is_llm: bool = True  # False: the embedded judge, which costs nothing

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.base_url)

    @property
    def settings_digest(self) -> str:
        """Digest of what changes an answer; the address and the limits do not."""
        asked = {
            "model": self.model,
            "temperature": self.temperature,
            "top_logprobs": self.top_logprobs,
            "max_output_tokens": self.max_output_tokens,
            "answer_format": self.answer_format,
            "sample": self.sample,
        }
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def api_key(endpoint: Endpoint, environment: Mapping[str, str] = os.environ) -> str:
    """The key from the environment; a loopback server without a key variable needs none.

    Raises:
        CookbookError: the variable is unset, or holds what no HTTP header can carry.
    """
    key = environment.get(endpoint.api_key_env, "").strip() if endpoint.api_key_env else ""
    if not key and endpoint.is_loopback:
        return "none"
    if not key:
        raise CookbookError(
            f"Expected the key of {endpoint.base_url} in the environment variable "
            f"{endpoint.api_key_env or '(none named)'}, which is not set; set it and run again."
        )
    if not key.isascii() or not key.isprintable():
        raise CookbookError(
            f"Expected a key of printable ASCII characters in {endpoint.api_key_env}; it holds "
            "others, perhaps from copying: set it again."
        )
    return key
