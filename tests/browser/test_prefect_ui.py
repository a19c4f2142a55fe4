"""A person opens Prefect's UI, fills in the form, starts a smoke run and reads the verdict."""

import os
import shutil
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
RUN_S = 600


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`cookbook serve` on a small domain."""
    folder = tmp_path_factory.mktemp("served")
    made = Served(small_domain(folder / "domain"), folder)
    made.start()
    yield made
    made.stop()


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


def start_from_form(served: Served, browser: webdriver.Chrome, shot: Path | None = None) -> str:
    """Choose the smoke profile in the form of `cookbook`, press the button; the run's id."""
    deployment = served.deployment("cookbook")
    browser.get(f"{served.address}/deployments/deployment/{deployment}/run")
    profile = wait_for(60, "the form", lambda: shown_select(browser))
    Select(profile).select_by_visible_text("smoke")
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
    wait_for(60, "the question", lambda: pressed(browser, "Cancel", last=True))
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


def pressed(browser: webdriver.Chrome, text: str, *, last: bool = False) -> bool:
    """Press the first (or last) button shown that says the text; False where there is none."""
    buttons = [
        one
        for one in browser.find_elements(By.TAG_NAME, "button")
        if one.is_displayed() and text in one.text
    ]
    if not buttons:
        return False
    buttons[-1 if last else 0].click()
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
    shown(browser, "Artifacts").click()
    shown(browser, "verdict").click()
    assert shown(browser, "Promoted").is_displayed()
    browser.save_screenshot(str(screenshots / "verdict.png"))
    browser.get(served.reports)
    assert "Promoted" in browser.find_element(By.TAG_NAME, "h1").text
    browser.save_screenshot(str(screenshots / "report.png"))


def shown_select(browser: webdriver.Chrome) -> WebElement | None:
    """The form's first list of choices."""
    found = browser.find_elements(By.TAG_NAME, "select")
    return next((one for one in found if one.is_displayed()), None)
