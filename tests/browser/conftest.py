"""One served domain and one browser, shared by the modules that click through Prefect's UI."""

import gzip
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tests.browser.pages import BROWSER, DRIVER, HOSTILE
from tests.flows.served import Served
from tests.flows.smoke import small_domain

# Domains equal to job_search, whose artifacts they share, with a registry of their own each.
DECIDED = ("approved", "refused")


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`cookbook serve` on a small domain, its hostile copy, and a copy for each decision."""
    folder = tmp_path_factory.mktemp("served")
    root = small_domain(folder / "domain")
    poison(root)
    for name in DECIDED:
        copy_domain(root, name)
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
    copy_domain(root, "broken")
    with (data.with_name("broken") / "golden.csv").open("a") as golden:
        golden.write(f"q1,nurse,,{HOSTILE},1{',' * golden_commas(data)}\n")
    card = data / "DATA_CARD.md"
    card.write_text(card.read_text().replace("\n\n", f"\n\n{HOSTILE} ", 1))


def golden_commas(data: Path) -> int:
    """Commas after the fifth column of golden.csv."""
    return (data / "golden.csv").read_text().partition("\n")[0].count(",") - 4


def copy_domain(root: Path, name: str) -> None:
    """The same domain under another name."""
    for part in ("policy", "golden_data"):
        shutil.copytree(root / part / "job_search", root / part / name)


@pytest.fixture(scope="session")
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "window-size=1400,1400"):
        options.add_argument(f"--{argument}")
    driver = webdriver.Chrome(options, Service(str(DRIVER)))
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """COOKBOOK_SCREENSHOTS names a folder to keep them in."""
    folder = Path(os.environ.get("COOKBOOK_SCREENSHOTS", tmp_path_factory.mktemp("screenshots")))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
