"""Impressions that no person made: bots, clocks that lie, clicks counted twice.

Everything left out is counted by reason; nothing vanishes in silence.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.core.errors import CookbookError

IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_TEXTS = ("impression_id", "query_id", "query", "member_id", "doc_id")
_COLUMNS = ("member_id", "query_id", "doc_id", "clicked", "timestamp")
REASONS = (
    "unparsable_timestamp",
    "future_timestamp",
    "impossible_click_rate",
    "clicks_per_minute",
    "repeated_click",
)
_MISSING = np.iinfo(np.int64).min


@dataclass(frozen=True)
class FilterResult:
    """Which rows to keep, and how many fell to each reason.

    A row falls to the first reason that applies, in the order of `REASONS`, so the counts
    add up to the rows left out.
    """

    keep: Mask
    counts: dict[str, int]


def filter_impressions(
    columns: Mapping[str, npt.NDArray[np.generic]],
    *,
    now: datetime,
    maximum_click_rate: float = 0.9,
    minimum_impressions: int = 20,
    maximum_clicks_per_minute: int = 20,
    repeat_minutes: float = 10.0,
) -> FilterResult:
    """Keep the impressions that people made; columns as in impressions.csv, one entry a row.

    Left out: timestamps that are no ISO 8601 or lie after `now` (an aware time); all rows of
    a member with at least `minimum_impressions` rows of which more than `maximum_click_rate`
    were clicked, or with more than `maximum_clicks_per_minute` clicks within any 60 seconds;
    and a click on the same query and document by the same member less than `repeat_minutes`
    after the last one (a chain of quick clicks is one click). Times without a zone are UTC.
    A member_id may be empty: such rows are no one's, and only their timestamps are checked.

    Raises: CookbookError when a column is missing.
    """
    _check_columns(columns)
    seconds = _seconds(columns["timestamp"])
    names, member = np.unique(columns["member_id"].astype(str), return_inverse=True)
    clicked = columns["clicked"].astype(np.int64) == 1
    unparsable, future = seconds == _MISSING, seconds > int(now.timestamp())
    # Rows of nobody are nobody's habits.
    person = ~unparsable & ~future & (names != "")[member]
    automatic = person & np.isin(
        member,
        _clicks_too_often(member[person], clicked[person], minimum_impressions, maximum_click_rate),
    )
    clicks = person & clicked
    hasty = person & np.isin(
        member, _clicks_too_fast(member[clicks], seconds[clicks], maximum_clicks_per_minute)
    )
    clicks &= ~automatic & ~hasty
    repeated = _repeated_clicks(columns, member, seconds, clicks, round(60 * repeat_minutes))
    bad = (unparsable, future, automatic, hasty, repeated)
    return _result(bad)


def _check_columns(columns: Mapping[str, npt.NDArray[np.generic]]) -> None:
    missing = [name for name in _COLUMNS if name not in columns]
    if missing:
        raise CookbookError(
            f"impressions need the columns {', '.join(_COLUMNS)}, got none called "
            f"{', '.join(missing)}: add them or leave the impressions out"
        )


def people_only(table: pa.Table, now: datetime) -> tuple[dict[str, Any], dict[str, int]]:
    """The click log's columns as arrays without rows of bots and repeats, and what fell to what.

    `table` is as the domain's reader gives it: timestamps in seconds.
    """
    columns = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
    columns |= {name: columns[name].astype(str) for name in _TEXTS}
    stamps = columns["timestamp"].astype("datetime64[s]")
    filtered = filter_impressions({**columns, "timestamp": np.datetime_as_string(stamps)}, now=now)
    kept = {name: values[filtered.keep] for name, values in columns.items()}
    return kept, dict(filtered.counts)


def _clicks_too_often(
    member: IntArray, clicked: Mask, minimum_impressions: int, maximum_click_rate: float
) -> IntArray:
    rows = np.bincount(member)
    clicks = np.bincount(member, weights=clicked)
    often = (rows >= minimum_impressions) & (clicks > maximum_click_rate * rows)
    return np.flatnonzero(often)


def _clicks_too_fast(member: IntArray, seconds: IntArray, maximum_per_minute: int) -> IntArray:
    order = np.lexsort((seconds, member))
    who, when = member[order], seconds[order]
    # One click too many within a minute: the n-th after this one is less than 60 s away.
    n = maximum_per_minute
    hasty = (who[n:] == who[:-n]) & (when[n:] - when[:-n] < 60)
    return np.unique(who[n:][hasty])


def _repeated_clicks(
    columns: Mapping[str, npt.NDArray[np.generic]],
    member: IntArray,
    seconds: IntArray,
    clicks: Mask,
    gap_seconds: int,
) -> Mask:
    """Rows (n,) among `clicks` that repeat one on the same query and document."""
    rows = np.flatnonzero(clicks)
    keys = [member[rows], *(_numbered(columns[name][rows]) for name in ("query_id", "doc_id"))]
    repeated = np.zeros(len(seconds), dtype=bool)
    repeated[rows] = _repeats(keys, seconds[rows], gap_seconds)
    return repeated


def _repeats(keys: list[IntArray], seconds: IntArray, gap_seconds: int) -> Mask:
    """Rows less than `gap_seconds` after the one before with the same keys."""
    order = np.lexsort((seconds, *keys))
    same = np.logical_and.reduce([np.diff(key[order]) == 0 for key in keys])
    repeated = np.zeros(len(seconds), dtype=bool)
    repeated[order[1:]] = same & (np.diff(seconds[order]) < gap_seconds)
    return repeated


def _result(bad: tuple[Mask, ...]) -> FilterResult:
    keep = np.ones(len(bad[0]), dtype=bool)
    counts = {}
    for reason, rows in zip(REASONS, bad, strict=True):
        counts[reason] = int((keep & rows).sum())
        keep &= ~rows
    return FilterResult(keep, counts)


def _numbered(values: npt.NDArray[np.generic]) -> IntArray:
    return np.unique(values.astype(str), return_inverse=True)[1].astype(np.int64)


def _seconds(timestamps: npt.NDArray[np.generic]) -> IntArray:
    """Seconds since 1970 UTC; the smallest integer where the text is no time."""
    return np.array([_parse(str(text)) for text in timestamps.tolist()], dtype=np.int64)


def _parse(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return int(_MISSING)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
