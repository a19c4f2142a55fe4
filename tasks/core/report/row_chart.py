"""The frame of a chart that is a table: name, chart and value in each row."""

from collections.abc import Sequence

from tasks.core.report.markup import Child, Html, element

_COLUMNS = ("Name", "Chart", "Value")


def row_chart(caption: str, rows: Sequence[Sequence[Child]], axis: Child = None) -> Html:
    """Rows of (name, chart, value), with an axis under the charts where one is given."""
    # The heads are for those who listen: whoever looks sees what is a name and what a number.
    heads = (
        element("th", element("span", name, class_="spoken"), scope="col") for name in _COLUMNS
    )
    body = [
        element("tr", element("th", name, scope="row"), element("td", chart), element("td", value))
        for name, chart, value in rows
    ]
    foot = element("tr", element("td"), element("td", axis), element("td"), aria_hidden="true")
    return element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *heads)),
        element("tbody", *body),
        element("tfoot", foot) if axis else None,
        class_="rows",
    )
