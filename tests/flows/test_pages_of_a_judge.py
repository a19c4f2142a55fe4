"""The commands of docs/llm.md, docs/policy.md and docs/personalization.md, given in their order.

The LLM is a scripted endpoint on loopback that executes the policy's decision tables.
"""

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core.domain.catalog import Catalog
from tasks.core.domain.corpus import read_documents, read_members
from tasks.core.policy import parse_policy
from tests.core.labeling.scripted_endpoint import Answer, Call, ScriptedEndpoint
from tests.flows.smoke import cookbook, report_of
from tests.job_search_judge import POLICY, DecisionTableJudge, answer_of, small_world
from tests.test_docs import PROJECT, commands

pytestmark = pytest.mark.slow
# What a product manager edits in a minute: jobs abroad, for members who would move.
CLAUSE = "PLACE-5"
RULE = "place.member_relocates = true | grade 2 |"
STRICTER = RULE.replace("2", "1")


@pytest.fixture(scope="module")
def folder(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a person works: a domain below it, and two versions of its policy."""
    folder = tmp_path_factory.mktemp("judged")
    shutil.copytree(root, folder / "mine")
    old = POLICY.read_text(encoding="utf-8")
    before, clause, after = old.partition(f"### {CLAUSE}")
    assert clause
    assert RULE in after
    (folder / "OLD.md").write_text(old, encoding="utf-8")
    (folder / "NEW.md").write_text(
        before + clause + after.replace(RULE, STRICTER, 1), encoding="utf-8"
    )
    return folder


@pytest.fixture(scope="module")
def judge(folder: Path) -> Iterator[ScriptedEndpoint]:
    data = folder / "mine" / "golden_data" / "job_search"
    catalog = Catalog(
        {row["doc_id"]: row for row in read_documents(data / "documents.jsonl.gz")},
        {row["member_id"]: row for row in read_members(data / "members.jsonl.gz")},
    )
    versions = [parse_policy(folder / name) for name in ("OLD.md", "NEW.md")]
    tables = DecisionTableJudge(small_world(), catalog, versions)

    def answer(call: Call) -> Answer:
        try:
            return tables(call)
        except (KeyError, StopIteration):
            # An edited posting, a twin of a member, a query to be written: no pair of the world.
            return Answer(answer_of(tables.any_decision()))

    with ScriptedEndpoint(answer, keep_calls=False) as server:
        yield server


def given(folder: Path, judge: ScriptedEndpoint, line: str) -> str:
    """What a page's command prints, with the folder's domain, the smoke models and the judge."""
    words = shlex.split(line)
    if words[0] in ("plan", "run", "label", "refresh"):
        words += ["--profile", "smoke", "--root", "mine"]
    address = {"OPENAI_BASE_URL": judge.base_url, "OPENAI_API_KEY": "sk-nobody"}
    return cookbook(folder, *words, **address)


def number(pattern: str, told: str) -> int:
    found = re.search(pattern, told)
    assert found, (pattern, told)
    return int(found[1].replace(",", ""))


def test_the_pages_can_be_followed_from_a_key_to_an_edited_policy(
    folder: Path, judge: ScriptedEndpoint
) -> None:
    planned, shown, run = commands(PROJECT / "docs" / "llm.md")
    plan = given(folder, judge, planned)
    assert f"at {judge.base_url}: an LLM" in plan
    assert (folder / "OLD.md").read_text()[:200] in given(folder, judge, shown)
    assert judge.billed_calls == 0
    assert "Promoted" in given(folder, judge, run)
    checked = report_of(folder / "runs")["judge"]
    assert (checked["name"], checked["is_llm"]) == ("gpt-4.1-mini", True)
    whole = judge.billed_calls
    assert whole > checked["pairs"] > 0

    differs, affected, label = commands(PROJECT / "docs" / "policy.md")
    assert CLAUSE in given(folder, judge, differs)
    told = given(folder, judge, affected)
    assert CLAUSE in told
    asked = judge.billed_calls - whole
    assert 0 < asked <= 50
    shutil.copy(folder / "NEW.md", folder / "mine" / "policy" / "job_search" / "policy.md")
    given(folder, judge, label)
    # The labels that the edit made stale, less those that were asked for before, and the judge's
    # own checks under the edited policy.
    checks = number(r"([\d,]+) calls for gate pairs", plan) + number(
        r"([\d,]+) calls for checks", plan
    )
    again = judge.billed_calls - whole - asked
    assert checks < again <= checks + number(r"stale: +([\d,]+) of", told)


def test_the_daily_refresh_can_be_given_as_the_page_says(
    folder: Path, judge: ScriptedEndpoint
) -> None:
    (line,) = commands(PROJECT / "docs" / "personalization.md")
    told = given(folder, judge, line)
    assert "v0002" in told
    assert json.loads(cookbook(folder, "models", "show", "v0002"))["card"]["made_from"] == "v0001"
