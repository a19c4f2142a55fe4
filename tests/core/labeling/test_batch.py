"""Batches are submitted once, merged by id, and found again after a crash."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.core.errors import CookbookError
from tasks.core.labeling.budget import BudgetReachedError
from tasks.core.labeling.journal import Journal, member_mark
from tasks.core.policy import Policy
from tests.core.labeling.batch_provider import BatchProvider, open_desk
from tests.core.labeling.conftest import make_requests


def test_answers_come_back_by_id_at_half_price(
    provider: BatchProvider, policy: Policy, journal: Journal, tmp_path: Path
) -> None:
    desk = open_desk(provider, journal, policy, tmp_path / "b")
    requests = [replace(one, member_id="m1") for one in make_requests(10)]
    assert desk.submit(requests) == 10
    assert desk.submit(requests) == 0
    provider.finish("batch-0")
    assert desk.poll() == {"batch-0": "completed"}
    assert desk.merge().merged == 10
    assert desk.is_finished
    done = desk.judge.label(requests)
    assert [judgment.grade for judgment in done.judgments] == [n % 4 for n in range(10)]
    assert done.progress.calls == 0
    # 1,000 tokens at 2 dollars a million, halved.
    assert journal.spent_usd("") == pytest.approx(10 * 1000 * 2.0 / 1e6 / 2)
    # Neither the provider nor the folder keeps what is merged.
    assert provider.files == {}
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["batches.json"]
    # No intent names the member of such an answer: it must say it itself.
    results = [record for record in journal.records() if record["type"] == "result"]
    assert {record["member"] for record in results} == {member_mark("m1")}


def test_parts_keep_within_both_limits(
    provider: BatchProvider, policy: Policy, journal: Journal, tmp_path: Path
) -> None:
    desk = open_desk(provider, journal, policy, tmp_path / "b", max_requests=4)
    assert desk.submit(make_requests(10)) == 10
    assert [len(file.splitlines()) for file in provider.files.values()] == [4, 4, 2]
    line = len(next(iter(provider.files.values())).splitlines()[0]) + 1
    with Journal(tmp_path / "other") as other:
        small = open_desk(provider, other, policy, tmp_path / "c", max_bytes=3 * line)
        small.submit(make_requests(6))
    assert all(len(file) <= 3 * line for file in provider.files.values() if len(file) < 4 * line)


def test_an_expired_batch_is_merged_and_only_its_rest_submitted_again(
    provider: BatchProvider, policy: Policy, journal: Journal, tmp_path: Path
) -> None:
    desk = open_desk(provider, journal, policy, tmp_path / "b")
    requests = make_requests(10)
    desk.submit(requests)
    provider.finish("batch-0", "expired", only=6)
    desk.poll()
    counts = desk.merge()
    assert (counts.merged, counts.failed, counts.unanswered) == (6, 4, 0)
    assert desk.submit(requests) == 4
    provider.finish("batch-1")
    desk.poll()
    desk.merge()
    assert len(provider.billed) == 10
    assert len(set(provider.billed)) == 10
    assert desk.judge.label(requests).progress.calls == 0


def test_unknown_duplicate_and_missing_ids_are_no_labels(
    provider: BatchProvider, policy: Policy, journal: Journal, tmp_path: Path
) -> None:
    desk = open_desk(provider, journal, policy, tmp_path / "b")
    desk.submit(make_requests(4))
    lines = [json.loads(line) for line in provider.files["file-0"].splitlines()]
    answers = [provider.answer_line(line) for line in lines[:3]]
    strange = provider.answer_line(lines[0], custom_id="f" * 64)
    provider.write("batch-0", "output", [*answers, answers[1], strange])
    provider.batches["batch-0"]["status"] = "completed"
    desk.poll()
    counts = desk.merge()
    assert (counts.merged, counts.duplicate, counts.unknown, counts.unanswered) == (3, 1, 1, 1)
    assert len(journal) == 3


def test_a_refused_batch_is_explained(
    provider: BatchProvider, policy: Policy, journal: Journal, tmp_path: Path
) -> None:
    desk = open_desk(provider, journal, policy, tmp_path / "b")
    desk.submit(make_requests(2))
    errors = {"object": "list", "data": [{"code": "model_not_found", "message": "no"}]}
    provider.batches["batch-0"] |= {"status": "failed", "errors": errors}
    desk.poll()
    with pytest.raises(CookbookError, match="model_not_found"):
        desk.merge()


def test_the_budget_holds_before_anything_is_sent(
    provider: BatchProvider, policy: Policy, journal: Journal, tmp_path: Path
) -> None:
    desk = open_desk(provider, journal, policy, tmp_path / "b", budget=0.001)
    with pytest.raises(BudgetReachedError):
        desk.submit(make_requests(100))
    assert provider.batches == {}


def test_state_survives_a_restart(provider: BatchProvider, policy: Policy, tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        open_desk(provider, journal, policy, tmp_path / "b").submit(make_requests(5))
    provider.finish("batch-0")
    with Journal(tmp_path / "j") as journal:
        desk = open_desk(provider, journal, policy, tmp_path / "b")
        assert desk.submit(make_requests(5)) == 0
        desk.poll()
        assert desk.merge().merged == 5
    assert len(provider.batches) == 1


SUBMIT = """
import sys
from pathlib import Path
import openai
from tasks.core.labeling.batch import BatchDesk
from tasks.core.labeling.endpoint import Endpoint
from tasks.core.labeling.journal import Journal
from tasks.core.labeling.judge import Judge
from tasks.core.policy import parse_policy_text
from tests.core.labeling.conftest import POLICY_TEXT, make_requests

url, folder = sys.argv[1], Path(sys.argv[2])
with Journal(folder / "j") as journal:
    policy = parse_policy_text(POLICY_TEXT, "policy.md")
    judge = Judge(policy, Endpoint(url, "m", api_key_env=""), journal)
    client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
    BatchDesk(judge, folder / "b", client).submit(make_requests(5))
"""


@pytest.mark.faults
def test_a_batch_whose_id_was_lost_in_a_crash_is_found_and_not_submitted_again(
    provider: BatchProvider, policy: Policy, tmp_path: Path
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", SUBMIT, provider.base_url, str(tmp_path)],
        env=os.environ | {"COOKBOOK_FAULT": "batch_after_create"},
        check=False,
    )
    assert killed.returncode == -9
    with Journal(tmp_path / "j") as journal:
        desk = open_desk(provider, journal, policy, tmp_path / "b")
        # Even where other pairs have come in since.
        assert desk.submit(make_requests(7)) == 2
    assert len(provider.batches) == 2
