"""A person opens Prefect's UI, fills in the form, starts a smoke run and reads the verdict.

Profiles, postings and the data card hold HTML, as an attacker would write it: on no page may it be
anything but text.
"""

import gzip
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

from tests.flows.served import Served, wait_for
from tests.flows.smoke import small_domain

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        not (BROWSER and DRIVER), reason="NO BROWSER: install chromium and chromium-driver"
    ),
]
RUN_S, DRAWN_S = 900, 3.0
HOSTILE = "<img src=x onerror=window.harmed=1>"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`cookbook serve` on a small domain."""
    folder = tmp_path_factory.mktemp("served")
    root = small_domain(folder / "domain")
    poison(root)
    made = Served(root, folder)
    made.start()
    yield made
    made.stop()


def poison(root: Path) -> None:
    """HTML into every text of the domain, and a domain `broken` whose error message shows HTML."""
    data = root / "golden_data" / "job_search"
    for name, field in (("documents", "title"), ("members", "text")):
        path = data / f"{name}.jsonl.gz"
        rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
        lines = [json.dumps(row | {field: f"{row[field]} {HOSTILE}"}) + "\n" for row in rows]
        path.write_bytes(gzip.compress("".join(lines).encode()))
    shutil.copytree(root / "policy" / "job_search", root / "policy" / "broken")
    shutil.copytree(data, data.with_name("broken"))
    with (data.with_name("broken") / "golden.csv").open("a") as golden:
        golden.write(f"q1,nurse,,{HOSTILE},1{',' * golden_commas(data)}\n")
    card = data / "DATA_CARD.md"
    card.write_text(card.read_text().replace("\n\n", f"\n\n{HOSTILE} ", 1))


def golden_commas(data: Path) -> int:
    """Commas after the fifth column of golden.csv."""
    return (data / "golden.csv").read_text().partition("\n")[0].count(",") - 4


def assert_harmless(browser: webdriver.Chrome) -> None:
    """The page made no element of the HTML in the data, and ran nothing of it."""
    assert browser.find_elements(By.CSS_SELECTOR, "img[src='x']") == []
    assert browser.execute_script("return window.harmed") is None


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "window-size=1400,1400"):
        options.add_argument(f"--{argument}")
    driver = webdriver.Chrome(options, Service(str(DRIVER)))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """COOKBOOK_SCREENSHOTS names a folder to keep them in."""
    folder = Path(os.environ.get("COOKBOOK_SCREENSHOTS", tmp_path_factory.mktemp("screenshots")))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def shown(browser: webdriver.Chrome, text: str) -> WebElement:
    """An element that shows the text, once the page has drawn it."""
    path = f"//*[contains(normalize-space(.), {text!r}) and not(*[contains(., {text!r})])]"

    def found() -> WebElement | None:
        candidates = browser.find_elements(By.XPATH, path)
        return next((one for one in candidates if one.is_displayed()), None)

    element = wait_for(60, f"the text {text!r}", found)
    assert isinstance(element, WebElement)
    return element


def test_the_six_deployments_are_listed_with_their_schedules(
    served: Served, browser: webdriver.Chrome, screenshots: Path
) -> None:
    browser.get(f"{served.address}/deployments")
    for name in ("cookbook", "retrain", "personalize", "label", "score", "approve"):
        assert shown(browser, name).is_displayed()
    assert shown(browser, "At 04:00 AM every day").is_displayed()
    browser.save_screenshot(str(screenshots / "deployments.png"))


def test_schedules_make_runs(served: Served) -> None:
    """They did not with SQLAlchemy 2.1, and nothing but the server's log said so."""
    query = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    assert wait_for(120, "a scheduled run", lambda: served.api("/flow_runs/count", query) > 3)


def test_a_form_says_what_each_field_is_for(
    served: Served, browser: webdriver.Chrome, screenshots: Path
) -> None:
    for name, said in (("approve", "it is kept in the log"), ("retrain", "not what merely does")):
        browser.get(f"{served.address}/deployments/deployment/{served.deployment(name)}/run")
        assert shown(browser, said).is_displayed()
        browser.save_screenshot(str(screenshots / f"form_{name}.png"))


def start_from_form(served: Served, browser: webdriver.Chrome, shot: Path | None = None) -> str:
    """Choose the smoke profile in the form of `cookbook`, press the button; the run's id."""
    deployment = served.deployment("cookbook")
    browser.get(f"{served.address}/deployments/deployment/{deployment}/run")
    profile = wait_for(60, "the form", lambda: shown_select(browser))
    Select(profile).select_by_visible_text("smoke")
    assert shown(browser, "smoke takes seconds and proves nothing").is_displayed()
    if shot is not None:
        browser.save_screenshot(str(shot))
    before = {run["id"] for run in runs_of(served, deployment)}
    browser.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
    return str(
        wait_for(
            60,
            "the run",
            lambda: next(
                (r["id"] for r in runs_of(served, deployment) if r["id"] not in before), None
            ),
        )
    )


def runs_of(served: Served, deployment: str) -> Any:
    return served.api("/flow_runs/filter", {"flow_runs": {"deployment_id": {"any_": [deployment]}}})


def test_a_run_cancelled_in_the_ui_leaves_no_process(
    served: Served, browser: webdriver.Chrome, screenshots: Path
) -> None:
    run = start_from_form(served, browser)
    served.started(run)
    assert served.process is not None
    server_and_runner = len(psutil.Process(served.process.pid).children(recursive=True))
    browser.get(f"{served.address}/runs/flow-run/{run}")
    wait_for(60, "the button", lambda: pressed(browser, "Cancel"))
    browser.save_screenshot(str(screenshots / "cancel.png"))
    wait_for(60, "the question", lambda: pressed(browser, "Confirm"))
    assert served.ended(run)["state_type"] == "CANCELLED"
    wait_for(
        60,
        "the end of its process",
        lambda: (
            len(psutil.Process(served.process.pid).children(recursive=True)) < server_and_runner
        ),
    )
    browser.get(f"{served.address}/runs/flow-run/{run}")
    assert shown(browser, "Cancelled").is_displayed()
    browser.save_screenshot(str(screenshots / "cancelled.png"))


def pressed(browser: webdriver.Chrome, text: str) -> bool:
    """Press the first button shown that says the text; False where there is none."""
    buttons = [
        one
        for one in browser.find_elements(By.TAG_NAME, "button")
        if one.is_displayed() and text in one.text
    ]
    if not buttons:
        return False
    buttons[0].click()
    return True


def test_a_run_from_the_form_ends_with_a_verdict_and_a_report_that_opens(
    served: Served, browser: webdriver.Chrome, screenshots: Path
) -> None:
    run = served.ended(start_from_form(served, browser, screenshots / "form.png"), RUN_S)
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert run["parameters"]["profile"] == "smoke"
    browser.get(f"{served.address}/runs/flow-run/{run['id']}")
    assert shown(browser, "train_policy_teacher").is_displayed()
    browser.save_screenshot(str(screenshots / "run.png"))
    shown(browser, "Task Runs").click()
    time.sleep(DRAWN_S)
    browser.save_screenshot(str(screenshots / "task_runs.png"))
    shown(browser, "Artifacts").click()
    shown(browser, "verdict")
    browser.save_screenshot(str(screenshots / "artifacts.png"))
    for key, text in (("verdict", "Promoted"), ("stages", "policy_teacher")):
        open_artifact(served, browser, run["id"], key)
        assert shown(browser, text).is_displayed()
        assert_harmless(browser)
        browser.save_screenshot(str(screenshots / f"{key}.png"))
    open_artifact(served, browser, run["id"], "report")
    shown(browser, "Open the report").click()
    wait_for(60, "the report", lambda: served.reports in addresses(browser))
    browser.switch_to.window(browser.window_handles[-1])
    assert "Promoted" in browser.find_element(By.TAG_NAME, "h1").text
    assert HOSTILE in browser.find_element(By.TAG_NAME, "body").text
    assert_harmless(browser)
    browser.save_screenshot(str(screenshots / "report.png"))


def test_html_in_a_users_file_is_text_in_the_message_of_the_run_it_stops(
    served: Served, browser: webdriver.Chrome, screenshots: Path
) -> None:
    run = served.ended(served.order("cookbook", profile="smoke", domain="broken"))
    assert run["state_type"] == "FAILED"
    assert HOSTILE in run["state"]["message"]
    browser.get(f"{served.address}/runs/flow-run/{run['id']}")
    assert shown(browser, "Failed").is_displayed()
    time.sleep(DRAWN_S)
    assert_harmless(browser)
    browser.save_screenshot(str(screenshots / "failed.png"))
    open_artifact(served, browser, run["id"], "verdict")
    assert shown(browser, HOSTILE).is_displayed()
    assert_harmless(browser)
    browser.save_screenshot(str(screenshots / "stopped.png"))


def open_artifact(served: Served, browser: webdriver.Chrome, run: str, key: str) -> None:
    """The page of a run's artifact."""
    asked = {"artifacts": {"flow_run_id": {"any_": [run]}, "key": {"any_": [key]}}}
    (found,) = served.api("/artifacts/filter", asked)
    browser.get(f"{served.address}/artifacts/artifact/{found['id']}")


def addresses(browser: webdriver.Chrome) -> list[str]:
    """What every tab shows."""
    found = []
    for handle in browser.window_handles:
        browser.switch_to.window(handle)
        found.append(browser.current_url)
    return found


def shown_select(browser: webdriver.Chrome) -> WebElement | None:
    """The form's first list of choices."""
    found = browser.find_elements(By.TAG_NAME, "select")
    return next((one for one in found if one.is_displayed()), None)
