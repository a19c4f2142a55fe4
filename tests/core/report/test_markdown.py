import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tasks.core.report.markdown import escape, markdown_summary
from tasks.core.text import sanitize
from tests.core.report.example_report import full_report, minimal_report
from tests.core.report.page import read_page

RENDERER = MarkdownIt("commonmark", {"html": True}).enable("table")


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "[click](javascript:alert(1))",
        "a | b | c",
        "# not a heading",
        "1. not a list",
        "![x](data:x) `code` **bold** _em_ ~~no~~ \\",
        "&lt;b&gt; &copy;",
        "www.example.com https://example.com a@b.c",
    ],
)
def test_hostile_text_renders_as_itself(text: str) -> None:
    page = read_page(RENDERER.render(f"- {escape(text)}"))
    assert page.words == text
    assert [tag for tag, _ in page.tags] == ["ul", "li"]


@given(st.text(max_size=120) | st.text("<>&[]()*_`#|!\\/ax:'\"- \n", max_size=120))
def test_any_text_renders_as_itself_and_opens_no_element(text: str) -> None:
    page = read_page(RENDERER.render(f"- begin{escape(text)}end"))
    assert page.words == " ".join(f"begin{sanitize(text)}end".split())
    assert [tag for tag, _ in page.tags] == ["ul", "li"]


def test_the_summary_renders_the_verdict_the_models_and_what_was_skipped() -> None:
    page = read_page(RENDERER.render(markdown_summary(full_report())))
    assert page.words.startswith("Promoted v0004 is now the model in service for job_search.")
    assert len(page.named("tr")) == 1 + 5
    assert "not an LLM" in page.words
    refused = read_page(RENDERER.render(markdown_summary(minimal_report()))).words
    assert "Train click teacher: The domain has no impressions.csv.gz." in refused


def test_the_summary_stays_under_50_kilobytes_however_long_the_texts() -> None:
    report = full_report()
    report["promotion"]["reasons"] = ["\U0001f600" * 10_000] * 500
    report["skipped"] = [{"step": "<" * 10_000, "reason": "\U0001f600" * 10_000}] * 500
    summary = markdown_summary(report)
    assert len(summary.encode()) < 50_000
    assert "and 480 more" in summary
