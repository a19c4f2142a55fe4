"""A person opens Prefect's UI, fills in the form, starts a smoke run and reads the verdict.

Profiles, postings and the data card hold HTML, as an attacker would write it: on no page may it be
anything but text.
"""

import json
import time
from pathlib import Path

import psutil
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from tests.browser.pages import (
    HOSTILE,
    IN_BROWSER,
    PAGE_S,
    assert_harmless,
    open_artifact,
    pressed,
    shown,
    shown_select,
    submitted,
    switched,
)
from tests.flows.served import Served, wait_for

pytestmark = IN_BROWSER
RUN_S, DRAWN_S = 900, 3.0


def test_the_deployments_are_listed_with_their_schedules(
    served: Served, browser: webdriver.Chrome, screenshots: Path
) -> None:
    browser.get(f"{served.address}/deployments")
    for name in ("cookbook", "retrain", "personalize", "label", "score", "approve", "intents"):
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
    profile = wait_for(PAGE_S, "the form", lambda: shown_select(browser))
    Select(profile).select_by_visible_text("smoke")
    assert shown(browser, "smoke takes seconds and proves nothing").is_displayed()
    if shot is not None:
        browser.save_screenshot(str(shot))
    return submitted(served, browser, deployment)


def test_a_run_cancelled_in_the_ui_leaves_no_process(
    served: Served, browser: webdriver.Chrome, screenshots: Path
) -> None:
    run = start_from_form(served, browser)
    served.started(run)
    assert served.process is not None
    server_and_runner = len(psutil.Process(served.process.pid).children(recursive=True))
    browser.get(f"{served.address}/runs/flow-run/{run}")
    wait_for(PAGE_S, "the button", lambda: pressed(browser, "Cancel"))
    browser.save_screenshot(str(screenshots / "cancel.png"))
    wait_for(PAGE_S, "the question", lambda: pressed(browser, "Confirm"))
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
    latest = served.store / "job_search" / "latest" / "report.json"
    own = f"{json.loads(latest.read_text())['run_key']}/report.html"
    place = served.reports.removesuffix("report.html")
    wait_for(60, "the report", lambda: switched(browser, f"{place}{own}"))
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
