"""A person opens Prefect's UI, fills in the form, starts a smoke run and reads the verdict."""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

from tests.flows.smoke import COOKBOOK, PROJECT, environment, small_domain

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
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """`cookbook serve` on a small domain: addresses of the UI and of the report."""
    folder = tmp_path_factory.mktemp("served")
    root = small_domain(folder / "domain")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [*COOKBOOK, "serve", "--port", str(port), "--root", str(root)]
    server = subprocess.Popen(
        [*command, "--store", str(folder / "runs")],
        env=environment(folder / "prefect"),
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    lines = iter(server.stdout.readline, "")
    report = next(line for line in lines if line.startswith("Reports:")).split()[1]
    yield f"http://127.0.0.1:{port}", report
    server.terminate()
    server.communicate(timeout=60)


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


def api(address: str, path: str, query: dict[str, Any]) -> Any:
    """An answer of Prefect's API."""
    request = urllib.request.Request(
        f"{address}/api{path}", json.dumps(query).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def wait_for(seconds: float, what: str, found: Callable[[], Any]) -> Any:
    """The first true thing found, looked for twice a second."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := found():
            return result
        time.sleep(0.5)
    pytest.fail(f"{what} did not come within {seconds:g} s")


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
    served: tuple[str, str], browser: webdriver.Chrome, screenshots: Path
) -> None:
    address, _ = served
    assert wait_for(120, "all deployments", lambda: api(address, "/deployments/count", {}) == 6)
    browser.get(f"{address}/deployments")
    for name in ("cookbook", "retrain", "personalize", "label", "score", "approve"):
        assert shown(browser, name).is_displayed()
    assert shown(browser, "At 04:00 AM every day").is_displayed()
    browser.save_screenshot(str(screenshots / "deployments.png"))


def test_schedules_make_runs(served: tuple[str, str]) -> None:
    """They did not with SQLAlchemy 2.1, and nothing but the server's log said so."""
    address, _ = served
    query = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    assert wait_for(120, "a scheduled run", lambda: api(address, "/flow_runs/count", query) > 3)


def test_a_run_from_the_form_ends_with_a_verdict_and_a_report_that_opens(
    served: tuple[str, str], browser: webdriver.Chrome, screenshots: Path
) -> None:
    address, report = served
    named = {"deployments": {"name": {"any_": ["cookbook"]}}}
    deployment = api(address, "/deployments/filter", named)[0]["id"]
    browser.get(f"{address}/deployments/deployment/{deployment}/run")
    profile = wait_for(60, "the form", lambda: shown_select(browser))
    Select(profile).select_by_visible_text("smoke")
    browser.save_screenshot(str(screenshots / "form.png"))
    browser.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
    run = wait_for(RUN_S, "the end of the run", lambda: ended_run(address, deployment))
    assert run["state"]["type"] == "COMPLETED", run["state"]["message"]
    assert run["parameters"]["profile"] == "smoke"
    browser.get(f"{address}/runs/flow-run/{run['id']}")
    shown(browser, "train_policy_teacher")
    browser.save_screenshot(str(screenshots / "run.png"))
    shown(browser, "Artifacts").click()
    shown(browser, "verdict").click()
    shown(browser, "Promoted")
    browser.save_screenshot(str(screenshots / "verdict.png"))
    browser.get(report)
    assert "Promoted" in browser.find_element(By.TAG_NAME, "h1").text
    browser.save_screenshot(str(screenshots / "report.png"))


def shown_select(browser: webdriver.Chrome) -> WebElement | None:
    """The form's first list of choices."""
    found = browser.find_elements(By.TAG_NAME, "select")
    return next((one for one in found if one.is_displayed()), None)


def ended_run(address: str, deployment: str) -> Any:
    """The deployment's run, once it has ended."""
    query = {
        "flow_runs": {
            "deployment_id": {"any_": [deployment]},
            "state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]}},
        }
    }
    return next(iter(api(address, "/flow_runs/filter", query)), None)
