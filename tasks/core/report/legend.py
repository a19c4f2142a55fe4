"""The key under a figure: a mark in its color and shape, and what it stands for."""

from collections.abc import Mapping

from tasks.core.report.markup import Html, element


def legend(names: Mapping[str, str]) -> Html:
    """One entry per series: ``{"relevance": "NDCG@10 kept"}``."""
    entries = (
        element("span", element("i", class_=f"key {series}"), name)
        for series, name in names.items()
    )
    return element("p", *entries, class_="legend")
