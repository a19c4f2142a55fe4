"""What labeling would take: pairs, tokens, money, time, the first prompt. Spends nothing."""

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from functools import partial

from tasks.core.labeling.endpoint import Endpoint
from tasks.core.labeling.prices import Price, price_of
from tasks.core.labeling.prompts import (
    DEFAULT_PROMPT,
    LabelRequest,
    Message,
    Prompt,
    request_key,
    request_messages,
)
from tasks.core.policy import Policy

# Byte-pair tokenizers of this decade make 3.5 to 4.5 bytes of English a token, and at most
# about one token of a three-byte Chinese or Japanese character: three errs on the dear side.
_BYTES_PER_TOKEN = 3
_TOKENS_PER_DIMENSION = 60  # id, grade, and a quoted line of evidence
_TOKENS_PER_ANSWER = 80  # clauses, overall grade, a sentence of reason, the frame
# Providers remember prefixes from this length on (OpenAI's documentation of prompt caching).
_SHORTEST_CACHED_PREFIX = 1024


@dataclass(frozen=True)
class LabelPlan:
    """The cost of labeling, before it is spent; ``usd`` is None where no price is known.

    ``cached_share`` is the share of input tokens that a provider bills at its cached price.
    ``token_rule`` says how tokens were counted.
    """

    pairs: int
    to_label: int
    input_tokens: int
    cached_share: float
    output_tokens: int
    usd: float | None
    seconds: float
    token_rule: str
    first_prompt: list[Message]


def estimate(
    requests: Iterable[LabelRequest],
    policy: Policy,
    endpoint: Endpoint,
    *,
    prompt: Prompt = DEFAULT_PROMPT,
    answered: Container[str] = frozenset(),
    price: Price | None = None,
    count_tokens: Callable[[str], int] | None = None,
    answer_s: float = 3.0,
) -> LabelPlan:
    """The plan for these requests; keys in ``answered`` (or seen twice) cost nothing.

    ``count_tokens`` is the endpoint's tokenizer where it is on this machine; without it, a
    token is taken for every three bytes. ``answer_s`` is what one answer takes, in seconds.
    """
    asked = _Asked(count_tokens or _tokens_by_bytes)
    for request in requests:
        asked.add(
            request_key(policy, request, prompt, endpoint),
            partial(request_messages, policy, request, prompt),
            answered,
        )
    output_tokens = asked.calls * _answer_tokens(policy, endpoint)
    price = price or price_of(endpoint)
    return LabelPlan(
        pairs=asked.pairs,
        to_label=asked.calls,
        input_tokens=asked.input_tokens,
        cached_share=asked.cached_tokens / asked.input_tokens if asked.input_tokens else 0.0,
        output_tokens=output_tokens,
        usd=asked.usd(price, output_tokens) if price else None,
        seconds=_seconds(asked.calls, asked.input_tokens + output_tokens, endpoint, answer_s),
        token_rule="the endpoint's tokenizer" if count_tokens else "one token per three bytes",
        first_prompt=asked.first_prompt,
    )


@dataclass
class _Asked:
    """Counts of the requests that would be sent."""

    count: Callable[[str], int]
    pairs: int = 0
    first_prompt: list[Message] = field(default_factory=list)
    _keys: set[str] = field(default_factory=set)
    _prefix_tokens: int = 0
    _user_tokens: int = 0

    def add(
        self, key: str, messages: Callable[[], list[Message]], answered: Container[str]
    ) -> None:
        """Count a pair; its messages are made only if it would be asked."""
        self.pairs += 1
        if key in answered or key in self._keys:
            return
        self._keys.add(key)
        system, user = made = messages()
        if not self.first_prompt:
            self.first_prompt, self._prefix_tokens = made, self.count(system["content"])
        self._user_tokens += self.count(user["content"])

    @property
    def calls(self) -> int:
        return len(self._keys)

    @property
    def input_tokens(self) -> int:
        return self.calls * self._prefix_tokens + self._user_tokens

    @property
    def cached_tokens(self) -> int:
        """The first call pays for the prefix, the others repeat it."""
        is_cached = self._prefix_tokens >= _SHORTEST_CACHED_PREFIX and self._keys
        return (self.calls - 1) * self._prefix_tokens if is_cached else 0

    def usd(self, price: Price, output_tokens: int) -> float:
        return price.of(
            input_tokens=self.input_tokens,
            output_tokens=output_tokens,
            cached_tokens=self.cached_tokens,
        )


def local_tokenizer(model: str) -> Callable[[str], int] | None:
    """Token counts by the model's own tokenizer if it is on this machine; None if it is not.

    Nothing is downloaded, and no code that comes with a model is run. A model without a slash in
    its name (``gpt-4.1-mini``) has no published tokenizer to look for.
    """
    if "/" not in model:
        return None
    from transformers import AutoTokenizer  # costs seconds, and only a plan needs it

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            model, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError):
        return None
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False))


def _answer_tokens(policy: Policy, endpoint: Endpoint) -> int:
    if not endpoint.is_llm:
        return 0
    expected = _TOKENS_PER_ANSWER + _TOKENS_PER_DIMENSION * len(policy.dimensions)
    return min(expected, endpoint.max_output_tokens)


def _seconds(calls: int, tokens: int, endpoint: Endpoint, answer_s: float) -> float:
    """The slowest of the three: requests a minute, tokens a minute, answers at a time."""
    return max(
        calls / endpoint.requests_per_minute * 60,
        tokens / endpoint.tokens_per_minute * 60,
        calls * answer_s / endpoint.concurrency,
    )


def _tokens_by_bytes(text: str) -> int:
    return -(-len(text.encode()) // _BYTES_PER_TOKEN)
