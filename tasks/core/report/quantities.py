"""Numbers as a reader wants them: few digits, a unit, and "not measured" for null."""

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

NOT_MEASURED = "not measured"
MINUS, TIMES = "\u2212", "\u00d7"
_ABBREVIATION = re.compile(r"\b(auc|cpu|ece|fnr|fpr|gpu|js|kl|llm|ndcg|tnr|tpr|usd)\b")

Interval: TypeAlias = Mapping[str, Any]
"""An interval of report.json: value, low, high, n."""


def decimal(value: float | None, digits: int = 3) -> str:
    """A fixed number of decimals with a true minus sign: ``decimal(1234.5, 1) == "1,234.5"``."""
    if value is None:
        return NOT_MEASURED
    text = f"{value:,.{digits}f}"
    return text.removeprefix("-") if not text.strip("-0.") else text.replace("-", MINUS)


def signed(value: float | None, digits: int = 3) -> str:
    """A difference with its sign: ``signed(0.0312) == "+0.031"``."""
    text = decimal(value, digits)
    return f"+{text}" if value is not None and value > 0 and text.strip("0.") else text


def percent(value: float | None, digits: int = 1) -> str:
    """A share as a percentage: ``percent(0.974) == "97.4%"``."""
    return NOT_MEASURED if value is None else f"{decimal(100 * value, digits)}%"


def count(value: float | None) -> str:
    """A whole number with thousands separated: ``count(12345) == "12,345"``."""
    return NOT_MEASURED if value is None else f"{value:,.0f}"


def parameters(value: float) -> str:
    """A number of weights: ``parameters(375_830_528) == "375.8M"``."""
    return _scaled(value, (("B", 1e9), ("M", 1e6), ("k", 1e3)))


def size(value: float) -> str:
    """Bytes in decimal units: ``size(45_300_000) == "45.3 MB"``."""
    return _scaled(value, ((" GB", 1e9), (" MB", 1e6), (" kB", 1e3)), " B")


def rate(value: float | None) -> str:
    """Things per second: whole above 100, otherwise three digits."""
    if value is None:
        return NOT_MEASURED
    return count(value) if value >= 100 else f"{value:.3g}"


def milliseconds(value: float | None) -> str:
    """``milliseconds(3.21) == "3.2 ms"``."""
    return NOT_MEASURED if value is None else f"{decimal(value, 1)} ms"


def duration(seconds: float) -> str:
    """``duration(134.2) == "2 min 14 s"``; under a minute with one decimal."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def money(dollars: float) -> str:
    """US dollars; four decimals where cents would hide what was spent."""
    return f"${dollars:,.4f}" if 0 < dollars < 0.1 else f"${dollars:,.2f}"


def span(low: float | None, high: float | None, digits: int = 3, as_percent: bool = False) -> str:
    """The bounds of an interval: ``span(0.84, 0.87) == "0.840 to 0.870"``; empty where unknown."""
    if low is None or high is None:
        return ""
    write = percent if as_percent else decimal
    return f"{write(low, digits)} to {write(high, digits)}"


def words(identifier: str) -> str:
    """An identifier as a reader says it: ``words("js_divergence") == "JS divergence"``."""
    text = identifier.replace("_at_", "@").replace("_", " ").strip()
    text = _ABBREVIATION.sub(lambda found: found[0].upper(), text)
    return text[:1].upper() + text[1:]


def lower_words(identifier: str) -> str:
    """The same inside a sentence: ``lower_words("policy_teacher") == "policy teacher"``."""
    text = words(identifier)
    return text if text[:2].isupper() else text[:1].lower() + text[1:]


def _scaled(value: float, units: tuple[tuple[str, float], ...], unscaled: str = "") -> str:
    for unit, factor in units:
        # 999,950 is a million once rounded: the unit is chosen by what will be printed.
        if value >= 0.99995 * factor:
            return f"{value / factor:,.1f}{unit}"
    return f"{value:,.0f}{unscaled}"
