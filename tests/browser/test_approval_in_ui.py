"""A person decides in Prefect's UI about a candidate that waits: by the links of the run's page."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.support.ui import Select

from tasks.core.store.registry import Registry
from tests.browser.pages import (
    IN_BROWSER,
    PAGE_S,
    field,
    open_artifact,
    shown,
    submitted,
    switched,
)
from tests.flows.served import Served, wait_for

pytestmark = IN_BROWSER
RUN_S = 1800
REASON = "Grades of nurses look right to me."


def registry(served: Served, domain: str) -> Registry:
    return Registry(served.store / domain / "registry")


def waiting_candidate(served: Served, domain: str) -> str:
    """A run that ends with v0001 waiting for a person; its id."""
    asked = {"profile": "smoke", "domain": domain, "approval": "required"}
    run = served.ended(served.order("retrain", **asked), RUN_S)
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert registry(served, domain).waiting() == ["v0001"]
    assert registry(served, domain).current() is None
    return str(run["id"])


def decide(
    served: Served, browser: webdriver.Chrome, run: str, decision: str, shot: Path
) -> dict[str, Any]:
    """By the link of a candidate's run to the form; fill it in, start it: the run that decided."""
    deployment, domain = served.deployment("approve"), served.run(run)["parameters"]["domain"]
    open_artifact(served, browser, run, "approval")
    link = shown(browser, "fill in the form of approve")
    browser.save_screenshot(str(shot.with_stem(f"{shot.stem}_approval")))
    link.click()
    wait_for(PAGE_S, "the form", lambda: switched(browser, f"/{deployment}/run"))
    assert field(browser, "version").get_attribute("value") == "v0001"
    assert field(browser, "domain").get_attribute("value") == domain
    Select(field(browser, "decision")).select_by_visible_text(decision)
    field(browser, "reason").send_keys(REASON)
    browser.save_screenshot(str(shot.with_stem(f"{shot.stem}_form")))
    decided: dict[str, Any] = served.ended(submitted(served, browser, deployment), RUN_S)
    browser.get(f"{served.address}/runs/flow-run/{decided['id']}")
    shown(browser, decided["state"]["type"].capitalize())
    browser.save_screenshot(str(shot.with_stem(f"{shot.stem}_run")))
    return decided


def test_a_candidate_too_old_is_refused_and_a_recent_one_serves_by_a_persons_word(
    served: Served, browser: webdriver.Chrome, screenshots: Path
) -> None:
    run = waiting_candidate(served, "approved")
    log = served.store / "approved" / "registry" / "log.jsonl"
    recent = log.read_text()
    log.write_text(recent.replace(offered_at(recent), f"{datetime.now(UTC) - timedelta(days=20)}"))
    late = decide(served, browser, run, "promote", screenshots / "late.png")
    assert late["state_type"] == "FAILED"
    assert registry(served, "approved").current() is None
    open_artifact(served, browser, late["id"], "verdict")
    assert shown(
        browser, "A candidate is approved within 14 days; v0001 waits since"
    ).is_displayed()
    browser.save_screenshot(str(screenshots / "late_verdict.png"))

    log.write_text(recent)
    done = decide(served, browser, run, "promote", screenshots / "promote.png")
    assert done["state"]["message"] == "v0001 is promoted. In service: v0001."
    assert_decided(served, "approved", "promoted", in_service="v0001")
    open_artifact(served, browser, done["id"], "decision")
    assert shown(browser, "Grades of nurses look right to me.").is_displayed()
    browser.save_screenshot(str(screenshots / "promote_decision.png"))


def test_a_candidate_that_a_person_refuses_does_not_serve(
    served: Served, browser: webdriver.Chrome, screenshots: Path
) -> None:
    run = waiting_candidate(served, "refused")
    done = decide(served, browser, run, "refuse", screenshots / "refuse.png")
    assert done["state"]["message"] == "v0001 is refused. In service: none."
    assert_decided(served, "refused", "refused", in_service=None)


def offered_at(log: str) -> str:
    """When the candidate began to wait."""
    return str(json.loads(log.splitlines()[-1])["at"])


def assert_decided(served: Served, domain: str, event: str, in_service: str | None) -> None:
    """The registry's log has the decision with its reason, and the pointer follows it."""
    last = registry(served, domain).log()[-1]
    assert (last["event"], last["version"], last["reason"]) == (event, "v0001", REASON)
    assert last["by"] == "approve flow"
    assert registry(served, domain).waiting() == []
    assert registry(served, domain).served_version() == in_service
