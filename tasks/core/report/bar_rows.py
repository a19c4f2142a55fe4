"""A bar chart from zero: one row per name, with its amount and its share of the whole."""

from collections.abc import Callable, Sequence

from tasks.core.report.blocks import value_over
from tasks.core.report.markup import Html
from tasks.core.report.quantities import percent
from tasks.core.report.row_chart import row_chart
from tasks.core.report.tracks import bar


def bar_rows(
    caption: str, amounts: Sequence[tuple[str, float]], write: Callable[[float], str]
) -> Html:
    """Rows of (name, amount), in the order given; the longest bar is the largest amount."""
    largest = max((amount for _, amount in amounts), default=0.0) or 1.0
    total = sum(amount for _, amount in amounts) or 1.0
    rows = [
        (
            name,
            bar(amount / largest, f"{name}: {write(amount)}"),
            value_over(write(amount), percent(amount / total, 0)),
        )
        for name, amount in amounts
    ]
    return row_chart(caption, rows)
