"""The choice among mixes: on the front, above the floor, never below a single teacher on both."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.core.distillation.tradeoff import MeasuredStudent, choose, front
from tasks.core.intervals import Interval


def student(name: str, alpha: float, relevance: float, clicks: float) -> MeasuredStudent:
    intervals = (Interval(value, value - 0.1, value + 0.1, 9) for value in (relevance, clicks))
    return MeasuredStudent(name, alpha, "none", *intervals)


SINGLES = [student("policy_only", 1.0, 0.90, 0.55), student("click_only", 0.0, 0.60, 0.70)]


def test_the_most_clicks_above_the_floor() -> None:
    mixes = [
        *SINGLES,
        student("a", 0.75, 0.895, 0.60),
        student("b", 0.5, 0.885, 0.66),
        student("c", 0.25, 0.80, 0.69),
    ]
    assert choose(mixes, floor=0.98).name == "b"
    assert choose(mixes, floor=0.995).name == "policy_only"
    assert choose(mixes, floor=0.5).name == "c"


def test_clicks_alone_are_compared_with_and_never_chosen() -> None:
    """Nobody taught such a student grades, and grades are what is calibrated and served."""
    clicks = [student("click_only", 0.0, 0.95, 0.70), student("alpha_0", 0.0, 0.96, 0.80)]
    mixed = student("mixed", 0.5, 0.955, 0.75)
    assert choose([SINGLES[0], *clicks, mixed], floor=0.5).name == "mixed"
    assert choose([SINGLES[0], clicks[0], mixed], floor=0.5).name == "mixed"


def test_where_clicks_alone_beat_all_others_they_are_held_against_relevance_alone() -> None:
    """Nothing is then gained by falling back on relevance alone, which is beaten alike."""
    best = student("click_only", 0.0, 0.95, 0.70)
    mixed, worse = student("mixed", 0.5, 0.89, 0.60), student("worse", 0.3, 0.89, 0.54)
    assert choose([SINGLES[0], best, mixed, worse], floor=0.98).name == "mixed"
    assert choose([SINGLES[0], best, mixed, worse], floor=0.995).name == "policy_only"
    assert choose([SINGLES[0], best, worse], floor=0.98).name == "policy_only"


def test_relevance_alone_is_chosen_where_no_mix_is_left_whatever_its_clicks() -> None:
    """It has no chances of clicks to serve, and would end members' effects."""
    mixed = student("mixed", 0.5, 0.91, 0.53)
    assert choose([*SINGLES, mixed], floor=0.98).name == "mixed"
    below = student("below", 0.5, 0.89, 0.54)
    assert choose([*SINGLES, mixed, below], floor=0.98).name == "mixed"


def test_a_mix_below_a_single_teacher_on_both_goals_is_never_chosen() -> None:
    worse = student("worse", 0.5, 0.89, 0.54)
    assert choose([*SINGLES, worse], floor=0.98).name == "policy_only"


def test_the_front_leaves_out_what_is_beaten_on_both_goals() -> None:
    beaten = student("beaten", 0.5, 0.59, 0.65)
    between = student("between", 0.5, 0.80, 0.65)
    found = [one.name for one in front([*SINGLES, beaten, between])]
    assert found == ["click_only", "between", "policy_only"]


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=8),
    st.floats(0.5, 1.0),
)
def test_whatever_comes_the_chosen_one_keeps_both_promises(
    points: list[tuple[float, float]], floor: float
) -> None:
    mixes = [student(f"m{i}", 0.5, *point) for i, point in enumerate(points)]
    chosen = choose([*SINGLES, *mixes], floor=floor)
    assert not any(chosen.is_below(single) for single in SINGLES)
    assert chosen.relevance.value >= floor * 0.90
    assert chosen.alpha > 0
