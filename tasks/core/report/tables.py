"""Tables with real headers; those of many columns fold into cards on a narrow screen."""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.core.report.markup import Child, Html, element

_FITS_A_PHONE = 3


@dataclass(frozen=True)
class Column:
    """A column: its title, and whether its cells are numbers (set to the right)."""

    title: str
    number: bool = False
    wide: bool = False


def table(
    caption: str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Child]],
    compact: bool = False,
) -> Html:
    """A table whose first column heads its rows; cells carry their column's title for cards.

    ``compact`` keeps a table of few columns from stretching over the whole page.
    """
    head = element(
        "tr",
        *(
            element("th", c.title, scope="col", role="columnheader", class_=_class(c))
            for c in columns
        ),
        role="row",
    )
    body = [
        element(
            "tr",
            *(_cell(i, c, cell) for i, (c, cell) in enumerate(zip(columns, row, strict=True))),
            role="row",
        )
        for row in rows
    ]
    names = ["compact"] if compact else []
    names += ["stack"] if len(columns) > _FITS_A_PHONE else []
    return element(
        "table",
        element("caption", caption),
        element("thead", head, role="rowgroup"),
        element("tbody", *body, role="rowgroup"),
        class_=" ".join(names) or None,
        role="table",
    )


def _cell(index: int, column: Column, content: Child) -> Html:
    if index == 0:
        return element("th", content, scope="row", role="rowheader", class_=_class(column))
    return element(
        "td", element("div", content), role="cell", class_=_class(column), data_label=column.title
    )


def _class(column: Column) -> str | None:
    names = [name for name, on in (("number", column.number), ("wide", column.wide)) if on]
    return " ".join(names) or None
