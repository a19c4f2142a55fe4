import pytest

from tasks.core.report.figures import Scale, bounds, log_scale_over, mark, scale_over


def test_a_linear_scale_maps_by_hand_arithmetic() -> None:
    scale = Scale(10, 20, start=100, stop=0)
    assert [scale.at(value) for value in (10, 12.5, 20, 25)] == [100, 75, 0, 0]


def test_a_logarithmic_scale_gives_equal_ratios_equal_room() -> None:
    scale = Scale(1, 10_000, start=0, stop=400, log=True)
    assert [scale.at(value) for value in (1, 10, 100)] == pytest.approx([0, 100, 200])


@pytest.mark.parametrize("values", [[0.91, 0.94], [5.0, 5.0], [0.0, 0.0], [-3.0, 12.0]])
def test_a_scale_holds_its_values_inside_with_round_ticks_between(values: list[float]) -> None:
    scale = scale_over(values, 0, 100)
    assert all(0 < scale.at(value) < 100 for value in values)
    ticks = scale.ticks()
    assert 3 <= len(ticks) <= 7
    assert all(scale.low <= tick <= scale.high for tick in ticks)


@pytest.mark.parametrize("values", [[22e6, 14e6], [22e6, 22e6], [3e5, 7e9]])
def test_a_logarithmic_scale_has_ticks_however_narrow_or_wide(values: list[float]) -> None:
    scale = log_scale_over(values, 0, 100)
    ticks = scale.ticks()
    assert len(ticks) >= 2
    assert all(scale.low <= tick <= scale.high for tick in ticks)


def test_an_interval_without_bounds_shrinks_to_its_value() -> None:
    assert bounds({"value": 0.5}) == (0.5, 0.5, 0.5)
    assert bounds({"value": 0.5, "low": 0.4, "high": None}) == (0.4, 0.5, 0.5)


def test_every_series_has_a_shape_of_its_own() -> None:
    drawn = {series: mark(0, 0, series, "") for series in ("relevance", "clicks", "end", "chosen")}
    shapes = {
        (html.count("<circle"), html.count("<rect"), "rotate" in html) for html in drawn.values()
    }
    assert len(shapes) == 4
