"""What a person does in Prefect's UI: open a form, press a button, read a page."""

import shutil
import time
from collections.abc import Callable
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.flows.served import Served, wait_for

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
IN_BROWSER = [
    pytest.mark.browser,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        not (BROWSER and DRIVER), reason="NO BROWSER: install chromium and chromium-driver"
    ),
]
PAGE_S = 300  # on processors that are busy with something else
PRESS_AGAIN_S = 60
HOSTILE = "<img src=x onerror=window.harmed=1>"


def drawn(look: Callable[[], Any]) -> Any:
    """What a look at the page finds; None where the page was drawn anew in the middle of it."""
    try:
        return look()
    except StaleElementReferenceException:
        return None


def shown(browser: webdriver.Chrome, text: str) -> WebElement:
    """An element that shows the text, once the page has drawn it."""
    path = f"//*[contains(normalize-space(.), {text!r}) and not(*[contains(., {text!r})])]"

    def found() -> WebElement | None:
        candidates = browser.find_elements(By.XPATH, path)
        return next((one for one in candidates if one.is_displayed()), None)

    element = wait_for(PAGE_S, f"the text {text!r}", lambda: drawn(found))
    assert isinstance(element, WebElement)
    return element


def pressed(browser: webdriver.Chrome, text: str) -> bool:
    """Press the first button shown that says the text; False where there is none."""

    def press() -> bool:
        for one in browser.find_elements(By.TAG_NAME, "button"):
            if one.is_displayed() and text in one.text:
                one.click()
                return True
        return False

    return bool(drawn(press))


def field(browser: webdriver.Chrome, title: str) -> WebElement:
    """What a form's field is filled in by: a line of text or a list of choices."""
    named = "*[contains(@class, 'schema-form-property__label')][contains(normalize-space(.), '{}')]"
    inside = f"//*[contains(concat(' ', @class, ' '), ' schema-form-property ')][.//{named}]"
    path = f"({inside.format(title)})//*[self::input or self::textarea or self::select]"

    def found() -> WebElement | None:
        return next(
            (one for one in browser.find_elements(By.XPATH, path) if one.is_displayed()), None
        )

    element = wait_for(PAGE_S, f"the field {title}", lambda: drawn(found))
    assert isinstance(element, WebElement)
    return element


def submitted(served: Served, browser: webdriver.Chrome, deployment: str) -> str:
    """Press the form's button; the id of the run that comes of it.

    A page that is drawn anew at that moment takes no notice: then it is pressed again.
    """
    before = {run["id"] for run in runs_of(served, deployment)}
    pressed_at = -PRESS_AGAIN_S

    def started() -> str | None:
        nonlocal pressed_at
        new = [run["id"] for run in runs_of(served, deployment) if run["id"] not in before]
        buttons = browser.find_elements(By.CSS_SELECTOR, "button[type=submit]")
        if not new and buttons and time.monotonic() - pressed_at >= PRESS_AGAIN_S:
            buttons[0].click()
            pressed_at = time.monotonic()
        return new[0] if new else None

    return str(wait_for(PAGE_S, "the run", lambda: drawn(started)))


def shown_select(browser: webdriver.Chrome) -> WebElement | None:
    """The form's first list of choices."""
    found = browser.find_elements(By.TAG_NAME, "select")
    return next((one for one in found if one.is_displayed()), None)


def runs_of(served: Served, deployment: str) -> Any:
    return served.api("/flow_runs/filter", {"flow_runs": {"deployment_id": {"any_": [deployment]}}})


def open_artifact(served: Served, browser: webdriver.Chrome, run: str, key: str) -> None:
    """The page of a run's artifact."""
    asked = {"artifacts": {"flow_run_id": {"any_": [run]}, "key": {"any_": [key]}}}
    (found,) = served.api("/artifacts/filter", asked)
    browser.get(f"{served.address}/artifacts/artifact/{found['id']}")


def switched(browser: webdriver.Chrome, part: str) -> bool:
    """Switch to the tab whose address has the part; False where there is none yet."""
    for handle in browser.window_handles:
        browser.switch_to.window(handle)
        if part in browser.current_url:
            return True
    return False


def assert_harmless(browser: webdriver.Chrome) -> None:
    """The page made no element of the HTML in the data, and ran nothing of it."""
    assert browser.find_elements(By.CSS_SELECTOR, "img[src='x']") == []
    assert browser.execute_script("return window.harmed") is None
