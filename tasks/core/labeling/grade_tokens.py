"""The grade distribution from the log-probabilities at the overall grade's token."""

import json
import math
from collections.abc import Mapping
from typing import Any

_DIGITS = tuple("0123456789")
_ROUNDING = 0.01


def grade_distribution(
    logprobs: Mapping[str, float] | None, grade_count: int
) -> tuple[float, ...] | None:
    """Probabilities over the grades from the log-probabilities at the grade's token.

    Tokens that are no grade are left out and the rest is normalized; a grade outside the
    endpoint's list gets 0. None where the endpoint gives nothing, or grades have two digits.
    """
    if not logprobs or grade_count > 10:
        return None
    mass = [0.0] * grade_count
    for token, logprob in logprobs.items():
        digit = token.strip(' \n\t:"')
        # A log-probability above 0 (or NaN) is none; 0.01 is rounding.
        if digit in _DIGITS[:grade_count] and logprob <= _ROUNDING:
            mass[int(digit)] += math.exp(logprob)
    total = sum(mass)
    return tuple(share / total for share in mass) if total > 0 else None


def grade_token_logprobs(text: str, tokens: list[Any]) -> dict[str, float] | None:
    """Log-probabilities by token at the place of the top-level grade in the answer's text.

    ``tokens`` is ``logprobs.content`` of a chat completion. None where the tokens do not
    spell the text, or the text holds no top-level grade: then no token can be trusted.
    """
    offset = _grade_offset(text)
    if offset is None or "".join(token["token"] for token in tokens) != text:
        return None
    end = 0
    for token in tokens:
        end += len(token["token"])
        if end > offset:
            return {top["token"]: float(top["logprob"]) for top in token["top_logprobs"]}
    return None


def _grade_offset(text: str) -> int | None:
    """Where the value of the top-level key "grade" begins, or None."""
    decoder, at = json.JSONDecoder(), text.find("{") + 1
    try:
        while at:
            key, at = decoder.raw_decode(text, _skip(text, at, " \t\r\n,"))
            at = _skip(text, at, " \t\r\n:")
            if key == "grade":
                return at
            _, at = decoder.raw_decode(text, at)
    except (ValueError, RecursionError):
        return None
    return None


def _skip(text: str, at: int, characters: str) -> int:
    while at < len(text) and text[at] in characters:
        at += 1
    return at
