"""A page for raters: hostile texts stay texts, and what it exports is what the import reads."""

import base64
import hashlib
import re
import shutil
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tasks.core.labeling.golden import Candidate, Shown
from tasks.core.labeling.ratings import import_ratings
from tasks.core.labeling.worksheet_page import render_worksheet
from tasks.core.policy import Policy

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
HOSTILE = "</pre><script>document.title='owned'</script><img src=x onerror=alert(1)> & \"quoted\""
# Whether the page lets a rater leave without being asked.
LEAVING = "return window.dispatchEvent(new Event('beforeunload', {cancelable: true}))"
SAMPLE = [
    Candidate('q"1', "=1+1", "m1", "d1"),
    Candidate("q2", HOSTILE, "", "d2"),
]
SHOWN = Shown({"d1": "a ward nurse\nin town", "d2": HOSTILE})


class Tags(HTMLParser):
    """The tags of a page, and the text outside of style and script."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.data: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.data.append(data)


def test_hostile_texts_are_shown_and_not_run(policy: Policy) -> None:
    page = Tags()
    page.feed(render_worksheet(SAMPLE, policy, shown=SHOWN))
    assert page.tags.count("script") == 1
    assert "img" not in page.tags
    assert HOSTILE in page.data


def test_only_the_pages_own_script_may_run(policy: Policy) -> None:
    text = render_worksheet(SAMPLE, policy, shown=SHOWN)
    script = re.search("<script>(.*)</script>", text, re.DOTALL)
    assert script
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    assert "default-src 'none'" in text
    assert "http" not in text.replace("http-equiv", "")


def test_each_dimension_and_clause_is_on_the_page(policy: Policy) -> None:
    text = render_worksheet(SAMPLE, policy, shown=SHOWN)
    assert text.count("<fieldset") == len(SAMPLE) * (len(policy.dimensions) + 1)
    assert text.count("<details>") == len(policy.clauses)


def test_a_dimension_may_not_apply_and_a_pair_always_has_a_grade(policy: Policy) -> None:
    text = render_worksheet(SAMPLE, policy, shown=SHOWN)
    fields = re.findall(r'<fieldset data-name="(\w+)">(.*?)</fieldset>', text)
    assert len(fields) == len(SAMPLE) * (len(policy.dimensions) + 1)
    for name, field in fields:
        assert ('value="">' in field) == (name != "grade")


@pytest.mark.browser
@pytest.mark.skipif(not (BROWSER and DRIVER), reason="NO BROWSER: install chromium-driver")
def test_what_a_rater_clicks_is_what_the_import_reads(policy: Policy, tmp_path: Path) -> None:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By

    page = tmp_path / "worksheet.html"
    page.write_text(render_worksheet(SAMPLE, policy, shown=SHOWN))
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(tmp_path)})
    browser = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        browser.get(page.as_uri())
        assert browser.title.startswith("Worksheet")
        for number, grade in enumerate((3, 1)):
            article = browser.find_elements(By.TAG_NAME, "article")[number]
            for name in ("grade", "dim_NEED"):
                path = f'fieldset[data-name="{name}"] input[value="{grade}"]'
                article.find_element(By.CSS_SELECTOR, path).click()
            for value in ("2", ""):  # a click that is taken back
                path = f'fieldset[data-name="dim_PLACE"] input[value="{value}"]'
                article.find_element(By.CSS_SELECTOR, path).click()
        assert browser.execute_script(LEAVING) is False  # hours of grades would be lost
        assert browser.find_element(By.TAG_NAME, "output").text == "2 of 2 graded"
        browser.find_element(By.TAG_NAME, "button").click()
        exported = tmp_path / "ratings.csv"
        for _ in range(100):
            if exported.exists():
                break
            time.sleep(0.1)
        assert browser.execute_script(LEAVING) is True
        assert not re.search('(^|,)"?=', exported.read_text(), re.MULTILINE)
        pairs = import_ratings([exported, exported], grade_count=4)
    finally:
        browser.quit()
    assert [(pair.query_id, pair.query, pair.member_id) for pair in pairs] == [
        ('q"1', "=1+1", "m1"),
        ("q2", HOSTILE, ""),
    ]
    assert [pair.grade for pair in pairs] == [3, 1]
    assert [pair.dimension_ratings["NEED"] for pair in pairs] == [(3, 3), (1, 1)]
    assert [pair.dimension_ratings["PLACE"] for pair in pairs] == [(None, None), (None, None)]
