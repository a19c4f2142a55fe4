"""HTML and SVG as values: whatever is not already markup is escaped when it is put in."""

import html
from typing import TypeAlias

_NO_CONTENT = frozenset({"meta", "br", "hr"})


class Html(str):
    """Markup that is safe to print as it is; only ``element`` and ``join`` make it.

    A plain ``str`` is text from data and is escaped on its way in, so that a forgotten call
    can show a ``<`` too many but never run a script.
    """

    __slots__ = ()


Child: TypeAlias = Html | str | None


def element(tag: str, /, *children: Child, **attributes: str | float | None) -> Html:
    """One element with its children; ``class_`` becomes ``class``, ``tab_index`` ``tab-index``.

    Attributes that are None are left out: ``element("b", "1 < 2") == "<b>1 &lt; 2</b>"``.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(_attribute(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if tag in _NO_CONTENT:
        return Html(f"<{tag}{written}>")
    return Html(f"<{tag}{written}>{join(*children)}</{tag}>")


def join(*children: Child) -> Html:
    """The children one after the other, text escaped, None left out."""
    return Html("".join(_child(child) for child in children if child is not None))


def _child(child: Html | str) -> str:
    return child if isinstance(child, Html) else html.escape(child)


def _attribute(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
