"""The verdict, before anything else: promoted, refused or waiting, and why."""

from tasks.core.report.markup import Html, element
from tasks.core.report.quantities import words
from tasks.core.report.schema import Report

_HEADLINES = {"promoted": "Promoted", "refused": "Refused", "waiting": "Waiting for a person"}
_ICONS = {  # drawn, not typed: emoji differ from machine to machine
    "promoted": "M12 25 L21 34 L37 15",
    "refused": "M14 14 L34 34 M34 14 L14 34",
    "waiting": "M24 12 L24 25 L33 30",
}


def verdict_headline(report: Report) -> str:
    """The decision in one or three words: "Promoted", "Refused", "Waiting for a person"."""
    return _HEADLINES[report["promotion"]["decision"]]


def verdict_sentence(report: Report) -> str:
    """What the decision means for the domain, in one sentence."""
    version, domain = report["promotion"]["version"], report["domain"]
    name = version or "This run's model"
    match report["promotion"]["decision"]:
        case "promoted":
            return f"{name} is now the model in service for {domain}."
        case "waiting":
            return f"{name} waits for a person to approve or refuse it for {domain}."
        case _:
            return f"{name} does not go into service for {domain}; nothing changes there."


def verdict(report: Report) -> Html:
    """The banner with the decision, its sentence and its reasons."""
    decision = report["promotion"]["decision"]
    icon = element(
        "svg",
        element("circle", cx=24, cy=24, r=22, class_="icon-ring"),
        element("path", d=_ICONS[decision], class_="icon-line"),
        viewBox="0 0 48 48",
        class_="icon",
        aria_hidden="true",
    )
    return element(
        "div",
        element("div", icon, element("h1", verdict_headline(report)), class_="verdict-head"),
        element("p", verdict_sentence(report), class_="verdict-sentence"),
        element("ul", *(element("li", reason) for reason in report["promotion"]["reasons"])),
        class_=f"verdict {decision}",
        id="verdict",
    )


def notices(report: Report) -> Html:
    """What a reader must know before trusting a number: the judge, the data, what was skipped."""
    skipped = [
        element("li", element("b", f"{words(entry['step'])}: "), entry["reason"])
        for entry in report["skipped"]
    ]
    return element(
        "div",
        _notice("Where the data comes from", report["data_note"])
        if report.get("data_note")
        else None,
        None
        if report["judge"]["is_llm"]
        else _notice(
            "The judge is not an LLM",
            f"{report['judge']['name']} is not a large language model: it learned grades from "
            "examples or follows fixed rules, and it does not read the policy as text.",
        ),
        element(
            "div",
            element("h2", "What this run did not do", id="skipped"),
            element("ul", *skipped) if skipped else element("p", "Nothing was skipped."),
            class_="notice",
        ),
        class_="notices",
    )


def _notice(title: str, text: str) -> Html:
    return element("div", element("h2", title), element("p", text), class_="notice")
