import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.report.html import render_html
from tests.core.report.example_report import full_report, minimal_report
from tests.core.report.page import Page, read_page

HOSTILE = '<script>alert("x")</script>"><img src=x onerror=alert(1)>'
HEADINGS = [
    "Promoted",
    "Where the data comes from",
    "The judge is not an LLM",
    "What this run did not do",
    "Models: quality kept against size and speed",
    "Against simple ways to rank",
    "The judge against people",
    "Policy, pairs and labels",
    "Can the probabilities be believed?",
    "Relevance against clicks",
    "Biases taken over",
    "Personalization, pass by pass",
    "Fairness by group",
    "Position bias in the clicks",
    "Time and money",
    "Lineage: what was made from what",
    "Environment",
]
_FREE_KEYS = {
    "baselines",
    "labels",
    "calibration",
    "clicks",
    "groups",
    "seconds_by_step",
    "environment",
    "reliability",
    "counts",
    "entities",
    "positive_distance",
    "positive_distance_before",
    "unseen",
    "sources",
}
_KEPT = {"decision", "role", "digest", "inputs", "propensities", "propensity_method", "served_role"}


@pytest.fixture(scope="module")
def full() -> Page:
    return read_page(render_html(full_report()))


@pytest.fixture(scope="module")
def minimal() -> Page:
    return read_page(render_html(minimal_report()))


def test_the_verdict_comes_first_then_what_was_skipped_then_the_evidence() -> None:
    headings = re.findall(r"<h[12][^>]*>(.*?)</h[12]>", render_html(full_report()))
    assert headings == HEADINGS


@pytest.mark.parametrize("report", [full_report(), minimal_report()], ids=["full", "minimal"])
def test_every_tag_is_closed_in_order(report: dict[str, Any]) -> None:
    assert read_page(render_html(report)).faults == []


def test_a_run_without_clicks_or_groups_says_not_measured_and_why(minimal: Page) -> None:
    for heading, reason in {
        "Relevance against clicks": "The domain has no impressions.csv.gz.",
        "Personalization": "The domain has no impressions.csv.gz.",
        "Fairness by group": "No document or member carries groups.",
    }.items():
        assert f"{heading} Not measured. {reason}" in minimal.words


def test_a_judge_that_is_no_llm_is_called_that_near_the_verdict() -> None:
    report = full_report()
    warned = read_page(render_html(report)).words
    assert warned.index("The judge is not an LLM") < warned.index("Ranking quality")
    report["judge"]["is_llm"] = True
    assert "not an LLM" not in read_page(render_html(report)).words


def test_every_text_of_the_report_is_shown_as_text() -> None:
    html = render_html(_poisoned(full_report()))
    page = read_page(html)
    assert page.faults == []
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "img", "iframe", "object", "link", "form", "base"}
    assert not [key for _, attributes in page.tags for key in attributes if key.startswith("on")]
    assert page.words.count('alert("x")') > 100


@settings(max_examples=10)
@given(st.text("<>&\"'=/ax;!-#\n\t\x00\u202e", min_size=1, max_size=60))
def test_whatever_text_stands_in_a_report_the_page_keeps_its_elements(
    full: Page, text: str
) -> None:
    report = full_report()
    report["skipped"] = [{"step": text, "reason": text} for _ in report["skipped"]]
    report["promotion"]["reasons"] = [text for _ in report["promotion"]["reasons"]]
    report["data_note"] = report["judge"]["model"] = text
    page = read_page(render_html(report))
    assert page.faults == []
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in full.tags]


def test_the_page_fetches_nothing_and_forbids_itself_to() -> None:
    html = render_html(full_report())
    page = read_page(html)
    policy = [m["content"] for m in page.named("meta") if "http-equiv" in m]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]
    assert not re.search(r"https?:|//\w|url\(|@import|javascript:", html)
    targets = [a["href"] for a in page.named("a")]
    ids = {attributes.get("id") for _, attributes in page.tags}
    assert targets
    assert {target.removeprefix("#") for target in targets if target} <= ids


def test_the_same_report_gives_the_same_bytes_and_a_small_page() -> None:
    assert render_html(full_report()) == render_html(full_report())
    assert len(render_html(full_report()).encode()) < 2_000_000


def test_every_figure_has_a_name_for_those_who_listen(full: Page) -> None:
    ids = [attributes["id"] for _, attributes in full.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for figure in full.named("svg"):
        named = (figure.get("aria-labelledby") or "").split()
        assert (
            figure.get("aria-hidden") == "true"
            or figure.get("aria-label")
            or (named and set(named) <= set(ids))
        )


def test_every_table_has_a_caption_and_scoped_headers(full: Page) -> None:
    assert len(full.named("caption")) == len(full.named("table")) > 10
    assert all(header.get("scope") in ("col", "row") for header in full.named("th"))


def test_the_tier_table_has_a_row_per_model(full: Page, minimal: Page) -> None:
    for page, models in ((full, 5), (minimal, 2)):
        cells = [c for c in page.named("td") if c.get("data-label") == "NDCG@10 kept"]
        assert len(cells) == models


def test_a_rarer_action_shows_what_is_kept_of_it_and_an_earlier_report_shows_none() -> None:
    report = full_report()
    kept = report["tiers"][-1]["kept_actions"]["applied"]
    kept["value"], kept["low"], kept["high"] = 0.4321, 0.4123, 0.4567
    words = read_page(render_html(report)).words
    assert "43.2%" in words
    assert "41.2" in words
    for tier in report["tiers"]:
        del tier["kept_actions"]
    assert "43.2%" not in read_page(render_html(report)).words


def test_a_run_that_trained_nothing_still_has_a_page() -> None:
    report = minimal_report() | {"tiers": [], "seconds_by_step": {}, "skipped": []}
    report["judge"]["kappa"] = None
    report["baselines"]["bm25"]["ndcg_at_10"] = None
    page = read_page(render_html(report))
    assert page.faults == []
    assert "No model was trained in this run." in page.words
    assert "Nothing was skipped." in page.words


def _poisoned(value: Any, key: str = "") -> Any:
    if key in _KEPT:
        return value
    if isinstance(value, dict):
        hostile = {f"{name}{HOSTILE}": 1 for name in value} if key in _FREE_KEYS else {}
        renamed = {
            f"{name}{HOSTILE}" if key in _FREE_KEYS - {"labels", "baselines"} else name: _poisoned(
                item, name
            )
            for name, item in value.items()
        }
        return renamed | (hostile if key == "labels" else {})
    if isinstance(value, list):
        return [_poisoned(item) for item in value]
    return HOSTILE if isinstance(value, str) else value


def test_every_null_that_the_contract_allows_is_shown_as_not_measured() -> None:
    report = full_report()
    tier = report["tiers"][-1]
    tier["golden"] = {"kappa": None, "ndcg_at_10": None, "low": None, "high": None, "n_queries": 0}
    tier["kept"] = {"ndcg_at_10": None, "ndcg_chance_corrected": None, "click_auc": None}
    tier["clicks"] = {"clicked": None}
    tier["calibration"] = {"grade": {"ece_before": None, "ece_after": None}}
    tier["latency_ms"] = {"p50": None, "p99": None}
    report["tradeoff"][2]["click_auc"] = None
    report["personalization"] |= {"gain": None, "auc_fixed": None}
    report["personalization"]["passes"][0]["auc"] = None
    report["fairness"]["mitigation"] = None
    report |= dict.fromkeys(("policy", "reliability", "sources", "propensities", "lineage"))
    before, page = render_html(full_report()), read_page(render_html(report))
    assert page.faults == []
    assert page.words.lower().count("not measured") > before.lower().count("not measured") + 10
    assert "None" not in page.words
