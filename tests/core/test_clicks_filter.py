"""Guards the click filter with planted bots, repeats and clocks: what it takes and leaves."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tasks.core.clicks_filter import REASONS, filter_impressions
from tasks.core.errors import CookbookError

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NONE = dict.fromkeys(REASONS, 0)


def _columns(rows):
    """Rows are (member, query, doc, clicked, seconds after 1 May 2026 or a text)."""
    start = datetime(2026, 5, 1, tzinfo=UTC)
    when = [
        r[4] if isinstance(r[4], str) else (start + timedelta(seconds=r[4])).isoformat()
        for r in rows
    ]
    names = ("member_id", "query_id", "doc_id")
    columns = {name: np.array([r[i] for r in rows]) for i, name in enumerate(names)}
    return columns | {"clicked": np.array([r[3] for r in rows]), "timestamp": np.array(when)}


def _person(name, n=30, *, seed=0, rate=0.2):
    """A member who clicks now and then, an hour apart."""
    clicks = np.random.default_rng(seed).random(n) < rate
    return [(name, f"q{i}", f"d{i}", int(c), 3600 * i) for i, c in enumerate(clicks)]


def test_an_ordinary_member_is_kept_whole():
    found = filter_impressions(_columns(_person("m1") + _person("m2", seed=1)), now=NOW)
    assert found.counts == NONE
    assert found.keep.all()


def test_a_member_who_clicks_everything_is_left_out_whole():
    found = filter_impressions(_columns(_person("m1") + _person("bot", rate=1.1)), now=NOW)
    assert found.counts == NONE | {"impossible_click_rate": 30}
    assert found.keep.tolist() == [True] * 30 + [False] * 30


def test_three_clicks_of_three_are_no_bot():
    found = filter_impressions(_columns(_person("m1", 3, rate=1.1)), now=NOW)
    assert found.keep.all()


def test_more_clicks_than_a_hand_can_make_in_a_minute_are_a_bot():
    # 21 clicks, one every 2 s; and 21 at 3 s, whose first and last are 60 s apart.
    fast = [("fast", f"q{i}", f"d{i}", int(i < 21), 2 * i) for i in range(40)]
    slow = [("slow", f"q{i}", f"d{i}", int(i < 21), 3 * i) for i in range(40)]
    found = filter_impressions(_columns(fast + slow), now=NOW)
    assert found.counts == NONE | {"clicks_per_minute": 40}
    assert found.keep.tolist() == [False] * 40 + [True] * 40


def test_repeated_clicks_collapse_into_the_first():
    rows = [
        ("m1", "q", "d", 1, 0),
        ("m1", "q", "d", 1, 300),
        ("m1", "q", "d", 1, 800),  # 500 s after the one before: still the same chain
        ("m1", "q", "d", 1, 800 + 600),  # ten minutes on: a click of its own
        ("m1", "q", "d", 0, 60),  # shown again without a click: kept
        ("m1", "q", "e", 1, 60),
        ("m2", "q", "d", 1, 60),
        ("m1", "r", "d", 1, 60),
    ]
    order = np.random.default_rng(0).permutation(len(rows))
    found = filter_impressions(_columns([rows[i] for i in order]), now=NOW)
    assert found.counts == NONE | {"repeated_click": 2}
    assert sorted(order[~found.keep].tolist()) == [1, 2]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("yesterday", "unparsable_timestamp"),
        ("", "unparsable_timestamp"),
        ("2026-13-01T00:00:00Z", "unparsable_timestamp"),
        ("2026-06-01T00:00:01Z", "future_timestamp"),
        ("2026-06-01T01:00:00", "future_timestamp"),
    ],
)
def test_clocks_that_lie_are_counted(text, reason):
    found = filter_impressions(_columns([("m", "q", "d", 0, text)]), now=NOW)
    assert found.counts == NONE | {reason: 1}


@pytest.mark.parametrize(
    "text", ["2026-06-01T00:00:00Z", "2026-06-01T01:59:00+02:00", "2026-05-31T23:59:59.5"]
)
def test_times_up_to_now_in_any_zone_are_kept(text):
    assert filter_impressions(_columns([("m", "q", "d", 0, text)]), now=NOW).keep.all()


def test_rows_of_nobody_are_not_one_busy_member():
    rows = [("", "q", "d", 1, i) for i in range(40)]
    found = filter_impressions(_columns(rows), now=NOW)
    assert found.keep.all()


def test_planted_shares_are_found_and_the_counts_add_up():
    rng = np.random.default_rng(0)
    rows = [row for i in range(95) for row in _person(f"m{i}", 40, seed=i)]
    rows += [row for i in range(5) for row in _person(f"bot{i}", 40, rate=1.1)]
    rows += [(*row[:4], row[4] + 30) for row in rows if row[3] and row[0] == "m7"]
    n_repeats = len(rows) - 4000
    columns = _columns(rows)
    lies = rng.choice(95 * 40, 76, replace=False)
    columns["timestamp"] = columns["timestamp"].astype("U40")
    columns["timestamp"][lies] = "2031-01-01T00:00:00Z"
    # A lying clock on one of m7's clicks takes away what its repeat repeats.
    lied_to = sum(1 for i in lies if rows[i][0] == "m7" and rows[i][3])
    found = filter_impressions(columns, now=NOW)
    assert found.counts == NONE | {
        "future_timestamp": 76,
        "impossible_click_rate": 200,
        "repeated_click": n_repeats - lied_to,
    }
    assert (~found.keep).sum() == sum(found.counts.values())


def test_no_impressions_are_no_failure():
    found = filter_impressions(_columns([]) | {"timestamp": np.array([], dtype=str)}, now=NOW)
    assert found.counts == NONE


def test_a_missing_column_is_named():
    columns = _columns(_person("m1"))
    del columns["clicked"]
    with pytest.raises(CookbookError, match="none called clicked"):
        filter_impressions(columns, now=NOW)
