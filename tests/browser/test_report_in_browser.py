"""Opens the report in a real browser and asks what a person would see in it.

The page itself has no scripts, so a second page holds it in frames of two widths and measures.
"""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tasks.core.report.html import render_html
from tests.core.report.example_report import full_report, minimal_report

BROWSER = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="NO BROWSER: install chromium or google-chrome to test report.html"
)
GREEN, RED = (10, 107, 88), (163, 35, 27)
RULER = """<!DOCTYPE html><meta charset="utf-8">
<iframe src="report.html" width="1280" height="900"></iframe>
<iframe src="report.html" width="420" height="900"></iframe>
<pre id="seen"></pre>
<script>
addEventListener("load", () => {
  const seen = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, view = frame.contentWindow;
    const box = node => node.getBoundingClientRect();
    const style = node => view.getComputedStyle(node);
    const shown = node => box(node).height > 0 && style(node).visibility === "visible";
    const all = (query, pick) => [...page.querySelectorAll(query)].filter(shown).map(pick);
    return {
      width: page.documentElement.clientWidth,
      needed: page.documentElement.scrollWidth,
      verdict: all("h1", node => [node.innerText, box(node).top,
                                  parseFloat(style(node).fontSize)]),
      headings: all("h2", node => node.innerText),
      tiers: all("table.stack tr", node => node.innerText.split("\\n")[0].trim()),
      figures: all("svg.figure", node => [box(node).width, box(node).height]),
      cut: all("svg.figure text", node => [node, node.ownerSVGElement])
        .filter(([node, svg]) => box(node).right > box(svg).right || box(node).left < box(svg).left)
        .map(([node]) => node.textContent),
      letters: all("svg.figure:not(.scroll *) text", node => box(node).height),
      wide: all("main *:not(.scroll *):not(.spoken):not(thead *)", node => node)
        .filter(node => box(node).right > frame.width - 10)
        .filter(node => node.tagName !== "thead").map(node => node.outerHTML.slice(0, 90)),
      scripts: page.scripts.length,
    };
  });
  document.getElementById("seen").textContent = JSON.stringify(seen);
});
</script>"""


def _browse(folder: Path, page: str, *options: str) -> subprocess.CompletedProcess[str]:
    assert BROWSER is not None
    quiet = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--enable-logging=stderr",
        "--allow-file-access-from-files",
        f"--user-data-dir={folder / 'profile'}",
    )
    command = [BROWSER, *quiet, *options, (folder / page).as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def _open(folder: Path, report: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """What the ruler measured at 1280 and at 420 pixels, and the browser's console."""
    (folder / "report.html").write_text(render_html(report), encoding="utf-8")
    (folder / "ruler.html").write_text(RULER, encoding="utf-8")
    ran = _browse(folder, "ruler.html", "--dump-dom", "--window-size=1400,1000")
    found = re.search(r'<pre id="seen">(.*?)</pre>', ran.stdout, re.DOTALL)
    assert found, ran.stderr
    return json.loads(html.unescape(found[1])), ran.stderr


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], str]:
    return _open(tmp_path_factory.mktemp("full"), full_report())


def test_the_verdict_is_the_first_and_largest_thing_on_both_widths(
    full: tuple[list[dict[str, Any]], str],
) -> None:
    for view, letters in zip(full[0], (50, 34), strict=True):
        ((text, top, size),) = view["verdict"]
        assert text == "Promoted"
        assert top < 140
        assert size >= letters


def test_every_section_and_every_model_is_visible(
    full: tuple[list[dict[str, Any]], str],
) -> None:
    headings = [
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
    roles = ["Policy teacher", "Click teacher", "Assistant", "Student", "Pruned student"]
    for view in full[0]:
        assert [heading for heading in view["headings"] if heading in headings] == headings
        rows = [row for row in dict.fromkeys(view["tiers"]) if row in roles]
        assert rows == roles


def test_nothing_runs_off_the_page_and_no_figure_is_too_small_to_read(
    full: tuple[list[dict[str, Any]], str],
) -> None:
    for view in full[0]:
        assert view["needed"] == view["width"]
        assert view["wide"] == []
        assert len(view["figures"]) == 9
        assert min(height for _, height in view["figures"]) > 150
        assert min(view["letters"]) >= 9


def test_a_figure_cuts_no_name_off(full: tuple[list[dict[str, Any]], str], tmp_path: Path) -> None:
    """Two teachers of one size are a figure's last points: their names have to turn inward."""
    report = full_report()
    weights = (24.5e6, 24.5e6, 22.7e6, 20.9e6, 16.8e6)
    kept = {"ndcg_at_10": (1.0, 0.978, 0.993, 0.997, 0.994)}
    kept["click_auc"] = (0.994, 1.0, 1.019, 1.045, 1.058)
    for number, tier in enumerate(report["tiers"]):
        tier["parameters"] = weights[number]
        for goal, shares in kept.items():
            value = shares[number]
            tier["kept"][goal] = {"value": value, "low": value - 0.05, "high": value + 0.05}
    views, _ = _open(tmp_path, report)
    assert [view["cut"] for view in (*full[0], *views)] == [[], [], [], []]


def test_the_page_runs_no_script_and_breaks_no_rule_of_its_own(
    full: tuple[list[dict[str, Any]], str],
) -> None:
    assert [view["scripts"] for view in full[0]] == [0, 0]
    assert "CONSOLE" not in full[1]


def test_a_run_without_clicks_shows_its_refusal_and_what_is_missing(tmp_path: Path) -> None:
    views, console = _open(tmp_path, minimal_report())
    for view in views:
        assert view["verdict"][0][0] == "Refused"
        assert view["needed"] == view["width"]
        assert "Personalization" in view["headings"]
    assert "CONSOLE" not in console


@pytest.mark.parametrize(
    ("report", "color"), [(full_report(), GREEN), (minimal_report(), RED)], ids=["full", "minimal"]
)
def test_the_banner_has_the_color_of_its_verdict(
    tmp_path: Path, report: dict[str, Any], color: tuple[int, int, int]
) -> None:
    (tmp_path / "report.html").write_text(render_html(report), encoding="utf-8")
    picture = tmp_path / "report.png"
    _browse(tmp_path, "report.html", f"--screenshot={picture}", "--window-size=1280,4000")
    with Image.open(picture) as image:
        counted = image.convert("RGB").crop((0, 0, 1280, 320)).getcolors(maxcolors=1 << 20)
        assert image.size == (1280, 4000)
    assert counted is not None
    # The banner fills most of the first screen's upper part: unmistakable from across a room.
    assert max(counted)[1] == color
    assert max(counted)[0] > 0.4 * 1280 * 320
