"""docs/your_own_domain.md, done as it says: from an empty folder to a verdict."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.smoke import PROJECT, cookbook

pytestmark = pytest.mark.slow

PAGE = (PROJECT / "docs" / "your_own_domain.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The page's one block of a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)
    return str(found)


def test_an_empty_folder_becomes_a_domain_with_a_verdict(tmp_path: Path) -> None:
    shops = tmp_path / "shops"
    policy = shops / "policy" / "garden" / "policy.md"
    for folder in (policy.parent, shops / "golden_data" / "garden"):
        folder.mkdir(parents=True)
    policy.write_text(block("markdown"), encoding="utf-8")
    said = cookbook(tmp_path, "policy", "lint", "shops/policy/garden/policy.md")
    promised = re.search(r"^    (shops/\S+: version .*)$", PAGE, re.M)
    assert promised
    assert promised[1] in said
    (shops / "make_garden.py").write_text(block("python"), encoding="utf-8")
    subprocess.run([sys.executable, "make_garden.py"], cwd=shops, check=True)

    place = ("--domain", "garden", "--root", "shops")
    assert "gate" in cookbook(tmp_path, "golden", "split", *place)
    assert "disk:" in cookbook(tmp_path, "plan", "--profile", "smoke", *place)
    said = cookbook(tmp_path, "run", "--profile", "smoke", *place)
    assert re.search(r"^(Promoted|Refused)\. ", said, re.M)
    assert "the domain has no impressions" in " ".join(said.split())
    assert (tmp_path / "runs" / "garden" / "latest" / "report.html").is_file()
    assert "v0001" in cookbook(tmp_path, "models", "list", "--domain", "garden")
