"""The report at a glance on a terminal: the verdict in a line, the models in a table."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from tasks.core.report.quantities import (
    NOT_MEASURED,
    decimal,
    parameters,
    percent,
    rate,
    words,
)
from tasks.core.report.schema import Report
from tasks.core.report.sections.verdict import verdict_headline, verdict_sentence
from tasks.core.text import sanitize

# What is not measured, in a cell too narrow for the words.
_NOTHING = "-"
_BASELINES = {"bm25": "BM25", "embedding": "Embedding"}


def verdict_line(report: Report) -> str:
    """The decision, what it means and the first reason, in one line without control characters.

    Plain text: print it with ``markup=False``, since reasons may hold square brackets.
    """
    reason = report["promotion"]["reasons"][0]
    return sanitize(f"{verdict_headline(report)}. {verdict_sentence(report)} {reason}")


def judge_line(report: Report) -> str:
    """Who graded, and how well it agrees with people, in one line without control characters."""
    judge, kappa = report["judge"], report["judge"]["kappa"]
    kind = "an LLM" if judge["is_llm"] else "not an LLM"
    if kappa is None:
        return sanitize(f"Judge: {judge['name']}, {kind}; not measured against people")
    people = judge["human_kappa"]
    beside = f"people among themselves {decimal(people, 2)}" if people is not None else ""
    floor = f"floor {decimal(judge['floor'], 2)}" if judge.get("floor") is not None else ""
    known = ", ".join(part for part in (floor, beside) if part)
    measured = f"kappa {decimal(kappa['value'], 2)}" + (f" ({known})" if known else "")
    return sanitize(f"Judge: {judge['name']}, {kind}, {measured}")


def summary_table(report: Report) -> Table:
    """A row per model and per untrained baseline: quality, share kept, clicks, size and speed.

    Fits 80 columns; without clicks their two columns are left out and the caption says so.
    """
    clicks = any(tier["clicks"] for tier in report["tiers"])
    title = Text(sanitize(f"{report['domain']}, policy {report['policy_version']}"))
    measured = "clicks: AUC" if clicks else "clicks: not measured"
    rows = [_tier(tier, clicks) for tier in report["tiers"]]
    missing = f"; {_NOTHING}: not measured" if any(_NOTHING in row for row in rows) else ""
    caption = f"kept: share of the teacher's; {measured}{missing}"
    table = Table(title=title, caption=caption, box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Model", no_wrap=True)
    click_names = ("clicks", "kept") if clicks else ()
    for name in ("NDCG@10", "kept", *click_names, "kappa", "size", "pairs/s"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    table.add_section()
    for key, name in _BASELINES.items():
        if key in report["baselines"]:
            table.add_row(name, *_baseline(report["baselines"][key], clicks))
    return table


def _tier(tier: Mapping[str, Any], clicks: bool) -> list[str]:
    golden, kept = tier["golden"], tier["kept"]
    clicked = (tier["clicks"] or {}).get("clicked")
    auc = decimal(clicked["value"]) if clicked else NOT_MEASURED
    cells = [
        words(tier["role"]),
        decimal(golden["ndcg_at_10"]),
        _share(kept["ndcg_at_10"]),
        *([auc, _share(kept["click_auc"])] if clicks else []),
        decimal(golden["kappa"], 2),
        parameters(tier["parameters"]),
        rate(tier["pairs_per_second"]),
    ]
    return [_NOTHING if cell == NOT_MEASURED else cell for cell in cells]


def _baseline(baseline: Mapping[str, Any], clicks: bool) -> list[str]:
    auc = [decimal(baseline["click_auc"])] if clicks else []
    return [decimal(baseline["ndcg_at_10"]), "", *auc]


def _share(interval: Mapping[str, Any] | None) -> str:
    return percent(interval["value"]) if interval else NOT_MEASURED
