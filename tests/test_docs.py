"""Commands that the pages show exist as they are written, options and all."""

import re
import shlex
from pathlib import Path

import pytest

from flows.cli import app

PROJECT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    {PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")} - {PROJECT / "docs" / "cli.md"}
)
# Two spaces or more before a remark: what is to type ends there.
COMMAND = re.compile(r"^ {4}(?:\.venv/bin/)?cookbook (.*)$", re.M)


def commands(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    found = [re.sub(r" {2,}(#|or |and ).*$", "", line) for line in COMMAND.findall(text)]
    return [line.partition(" | ")[0] for line in found if not line.endswith("--help")]


SHOWN = [(page.name, line) for page in PAGES for line in commands(page)]


def test_the_pages_show_commands() -> None:
    assert len(SHOWN) > 15


@pytest.mark.parametrize(("page", "line"), SHOWN)
def test_a_command_that_a_page_shows_can_be_typed(page: str, line: str) -> None:
    """Parsed to the end, with every option known and every argument there; nothing runs."""
    command, bound, _ = app.parse_args(
        shlex.split(line), exit_on_error=False, print_error=False, verbose=False
    )
    assert callable(command), page
    assert bound is not None


def test_every_file_that_a_page_links_to_exists() -> None:
    links = [
        (page, target)
        for page in PAGES
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
    ]
    assert len(links) > 5
    assert [
        f"{page.name}: {target}" for page, target in links if not (page.parent / target).exists()
    ] == []
