import re

from tasks.core.report.figures import Scale
from tasks.core.report.tracks import bar, interval_track, track_scale


def test_an_interval_is_drawn_from_low_to_high_around_its_value() -> None:
    drawn = interval_track(
        {"value": 0.5, "low": 0.4, "high": 0.7}, Scale(0, 1), "half", "relevance", reference=1.0
    )
    assert 'x1="40.00%" x2="70.00%"' in drawn
    assert 'cx="50.00%"' in drawn
    assert 'x1="100.00%" x2="100.00%"' in drawn


def test_a_bar_starts_at_zero_and_stays_within_its_rail() -> None:
    widths = [re.findall(r'width="([\d.]+)%"', bar(share, ""))[1] for share in (0, 0.25, 1, 3)]
    assert [float(width) for width in widths] == [0, 25, 100, 100]


def test_rows_share_a_scale_that_holds_all_of_them_and_the_reference() -> None:
    rows = [{"value": 0.9, "low": 0.8, "high": 0.95}, None]
    scale = track_scale(rows, 1.0)
    assert scale.low < 0.8
    assert scale.high > 1.0
