"""What a call costs: genai-prices' table, and the budget that no call may exceed."""

from dataclasses import dataclass

from genai_prices import Usage, calc_price

from tasks.core.labeling.endpoint import Endpoint
from tasks.core.labeling.replies import Reply

_MILLION = 1_000_000


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens; cached input is the prompt prefix a provider remembers."""

    input_usd: float
    cached_input_usd: float
    output_usd: float

    def of(self, *, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float:
        """US dollars of one call; ``cached_tokens`` are a part of ``input_tokens``."""
        fresh = (input_tokens - cached_tokens) * self.input_usd
        cached = cached_tokens * self.cached_input_usd
        return (fresh + cached + output_tokens * self.output_usd) / _MILLION

    def of_reply(self, reply: Reply) -> float:
        """US dollars of an answered call."""
        return self.of(
            input_tokens=reply.input_tokens,
            output_tokens=reply.output_tokens,
            cached_tokens=reply.cached_tokens,
        )


FREE = Price(0.0, 0.0, 0.0)


def price_of(endpoint: Endpoint) -> Price | None:
    """List price of the endpoint's model; None where genai-prices does not know it.

    The embedded judge is free, and so is a model that nobody lists on a server of this machine.
    A listed model is priced by its name wherever it answers, also through a proxy on this
    machine, which may be wrong: state a price where you pay another one. Tiered prices are
    taken at 100,000 input tokens, above the longest policy.
    """
    if not endpoint.is_llm:
        return FREE
    try:
        return Price(
            input_usd=_usd(endpoint.model, Usage(input_tokens=_PROBE)),
            cached_input_usd=_usd(
                endpoint.model, Usage(input_tokens=_PROBE, cache_read_tokens=_PROBE)
            ),
            output_usd=_usd(endpoint.model, Usage(output_tokens=_PROBE)),
        )
    except LookupError:
        return FREE if endpoint.is_loopback else None


_PROBE = 100_000


def _usd(model: str, usage: Usage) -> float:
    return float(calc_price(usage, model_ref=model).total_price) / _PROBE * _MILLION
