"""Cost: where the time and the money of the run went."""

from tasks.core.report.bar_rows import bar_rows
from tasks.core.report.blocks import facts, panel, section
from tasks.core.report.markup import Html
from tasks.core.report.quantities import count, duration, lower_words, money, words
from tasks.core.report.schema import Report

_TERMS = {
    "Time": "seconds of work of each stage, as measured; a reused stage takes next to none.",
    "Billed calls": "requests to a judge that sends a bill; the built-in judge sends none.",
}


def cost(report: Report) -> Html:
    """Time by stage and the money spent on labels."""
    seconds, labels = report["seconds_by_step"], report["labels"]
    total = sum(seconds.values())
    longest = max(seconds, key=lambda step: seconds[step], default=None)
    mostly = f"; {lower_words(longest)} took the longest" if longest else ""
    return section(
        "cost",
        "Time and money",
        f"{duration(total)} of work and {money(labels['spent_usd'])}{mostly}.",
        facts(
            [
                ("Spent", money(labels["spent_usd"])),
                ("Billed calls", count(labels["billed_calls"])),
                ("Possibly billed", count(labels["possibly_billed"])),
                ("Labels reused", count(labels["reused"])),
            ]
        ),
        panel(
            "Time by stage",
            bar_rows(
                "Stages in the order they ran, with their share of the time",
                [(words(step), time) for step, time in seconds.items()],
                duration,
            ),
        ),
        terms=_TERMS,
    )
