"""Holds a report against report.schema.json, the contract that tools read."""

import json
import math
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from textwrap import shorten
from typing import Any, TypeAlias

from jsonschema import Draft202012Validator

from tasks.core.errors import CookbookError

Report: TypeAlias = Mapping[str, Any]
"""The contents of report.json, by key; docs/report.md lists the keys that may be added."""


def validate_report(report: Report) -> None:
    """Passes a report that keeps the contract.

    Raises:
        CookbookError: naming the path of the first violation, such as ``tiers[2].latency_ms``;
            also for infinities and NaN, which JSON cannot hold and other readers refuse.
    """
    violations = _validator().iter_errors(report)
    first = min(violations, key=lambda error: list(map(str, error.absolute_path)), default=None)
    if first is not None:
        raise CookbookError(
            f"report.json breaks its contract at {_path(first.absolute_path)}: "
            f"{shorten(first.message, 200)}; "
            "mend the step that writes it, or report.schema.json if the contract changed."
        )
    for path, value in _numbers(report, ()):
        if not math.isfinite(value):
            raise CookbookError(
                f"report.json expects a finite number at {_path(path)}, got {value}; "
                "write null for what could not be measured."
            )


@cache
def _validator() -> Draft202012Validator:
    text = files("tasks.core.report").joinpath("report.schema.json").read_text(encoding="utf-8")
    return Draft202012Validator(json.loads(text))


def _path(keys: Any) -> str:
    steps = (f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return "".join(steps).removeprefix(".") or "its top level"


def _numbers(
    value: Any, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], float]]:
    if isinstance(value, float):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _numbers(item, (*path, index))
