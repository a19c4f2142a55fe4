"""The report as a page of Markdown, small and harmless enough for an artifact in a web UI."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tasks.core.report.quantities import (
    NOT_MEASURED,
    count,
    decimal,
    duration,
    money,
    parameters,
    percent,
    rate,
    span,
    words,
)
from tasks.core.report.schema import Report
from tasks.core.report.sections.verdict import verdict_headline, verdict_sentence
from tasks.core.text import sanitize

_LONGEST, _MOST = 160, 20  # letters of one text, entries of one list: bounds the page at 50 kB
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


def markdown_summary(report: Report) -> str:
    """Verdict, reasons, models, judge, cost and what was skipped; under 50 kB (UTF-8).

    Text from data has every ASCII punctuation mark escaped by a backslash (CommonMark 2.4), so it
    can be neither link, table, heading nor HTML.
    """
    return "\n".join(
        [
            f"# {verdict_headline(report)}",
            "",
            escape(verdict_sentence(report)),
            "",
            *_listed([escape(reason) for reason in report["promotion"]["reasons"]]),
            "",
            "## Models",
            "",
            *_models(report["tiers"]),
            "",
            "## Judge and cost",
            "",
            *_judge_and_cost(report),
            "",
            "## What this run did not do",
            "",
            *_skipped(report["skipped"]),
            "",
        ]
    )


def escape(text: str, *, longest: int = _LONGEST) -> str:
    """Text that renders as itself: ``escape("a*b") == "a\\\\*b"``; cut after 160 letters."""
    clean = sanitize(text)
    short = clean if len(clean) <= longest else clean[: longest - 3] + "..."
    return _PUNCTUATION.sub(r"\\\1", short)


def _models(tiers: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not tiers:
        yield "No model was trained."
        return
    yield "| Model | NDCG@10 | 95% interval | Kept | Click AUC | Kept | Weights | Pairs/s |"
    yield "| :-- | --: | --: | --: | --: | --: | --: | --: |"
    for tier in tiers[:_MOST]:
        golden, kept = tier["golden"], tier["kept"]
        clicked = (tier["clicks"] or {}).get("clicked")
        cells = (
            words(tier["role"]),
            decimal(golden["ndcg_at_10"]),
            span(golden["low"], golden["high"]),
            _share(kept["ndcg_at_10"]),
            decimal(clicked["value"]) if clicked else NOT_MEASURED,
            _share(kept["click_auc"]),
            parameters(tier["parameters"]),
            rate(tier["pairs_per_second"]),
        )
        yield f"| {' | '.join(cells)} |"


def _judge_and_cost(report: Report) -> Iterator[str]:
    judge, labels = report["judge"], report["labels"]
    kind = "an LLM" if judge["is_llm"] else "not an LLM: it does not read the policy as text"
    kappa = judge["kappa"] and judge["kappa"]["value"]
    yield f"- Judge {escape(judge['name'])}, {kind}"
    yield f"- Kappa with people {decimal(kappa, 2)}, between people {_human(judge)}"
    yield f"- {count(labels['labelled'])} labels, {count(labels['reused'])} reused"
    yield f"- {count(labels['billed_calls'])} billed calls, {money(labels['spent_usd'])} spent"
    yield f"- {duration(sum(report['seconds_by_step'].values()))} of work"


def _human(judge: Mapping[str, Any]) -> str:
    return decimal(judge["human_kappa"], 2)


def _skipped(entries: Sequence[Mapping[str, str]]) -> list[str]:
    if not entries:
        return ["Nothing was skipped."]
    return _listed([f"{escape(words(e['step']))}: {escape(e['reason'])}" for e in entries])


def _listed(entries: Sequence[str]) -> list[str]:
    more = [f"and {len(entries) - _MOST} more"] if len(entries) > _MOST else []
    return [f"- {entry}" for entry in [*entries[:_MOST], *more]]


def _share(interval: Mapping[str, Any] | None) -> str:
    return percent(interval["value"]) if interval else NOT_MEASURED
