"""The report as one HTML page that needs nothing else: no network, no fonts, no scripts."""

from importlib.resources import files

from tasks.core.report.markup import Html, element, join
from tasks.core.report.schema import Report
from tasks.core.report.sections.baselines import baselines
from tasks.core.report.sections.biases import biases
from tasks.core.report.sections.calibration import calibration
from tasks.core.report.sections.cost import cost
from tasks.core.report.sections.environment import environment
from tasks.core.report.sections.fairness import fairness
from tasks.core.report.sections.judge import judge
from tasks.core.report.sections.key_numbers import key_numbers
from tasks.core.report.sections.labels import labels
from tasks.core.report.sections.lineage import lineage
from tasks.core.report.sections.models import models
from tasks.core.report.sections.personalization import personalization
from tasks.core.report.sections.propensities import propensities
from tasks.core.report.sections.tradeoff import tradeoff
from tasks.core.report.sections.verdict import notices, verdict, verdict_headline

CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_SECTIONS = (
    ("Models", models),
    ("Baselines", baselines),
    ("Judge", judge),
    ("Labels", labels),
    ("Calibration", calibration),
    ("Trade-off", tradeoff),
    ("Biases", biases),
    ("Personalization", personalization),
    ("Fairness", fairness),
    ("Position bias", propensities),
    ("Cost", cost),
    ("Lineage", lineage),
    ("Environment", environment),
)


def render_html(report: Report) -> str:
    """The whole page for a report that passes ``validate_report``.

    The same report gives the same text. Everything from data is escaped, and the page forbids
    itself scripts and requests (Content-Security-Policy), should an escape ever be missed.
    """
    sections = [section(report) for _, section in _SECTIONS]
    page = element(
        "html",
        _head(report),
        element(
            "body",
            element(
                "main",
                _masthead(report),
                verdict(report),
                notices(report),
                key_numbers(report),
                _contents(),
                *sections,
            ),
        ),
        lang="en",
    )
    return f"<!DOCTYPE html>\n{page}\n"


def _head(report: Report) -> Html:
    style = files("tasks.core.report").joinpath("report.css").read_text(encoding="utf-8")
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=CONTENT_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{verdict_headline(report)}: {report['domain']}, {report['run_key']}"),
        element("style", Html(style)),
    )


def _masthead(report: Report) -> Html:
    return element(
        "div",
        element("span", "Ranker report", class_="brand"),
        element("span", report["domain"], class_="domain"),
        element(
            "span",
            f"policy {report['policy_version']} · profile {report['profile']} · "
            f"run {report['run_key']}",
            class_="run",
        ),
        class_="masthead",
    )


def _contents() -> Html:
    links = (element("a", name, href=f"#{section.__name__}") for name, section in _SECTIONS)
    return element("nav", join(*links), aria_label="Contents")
