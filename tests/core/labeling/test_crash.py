"""Killed at any point of a call, a labeling run repeats at most the calls in flight."""

import os
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.core.labeling.client import label_all
from tasks.core.labeling.journal import Journal
from tasks.core.policy import Policy
from tests.core.labeling.conftest import make_endpoint, make_requests, right_grade
from tests.core.labeling.scripted_endpoint import Answer, Call, ScriptedEndpoint

pytestmark = pytest.mark.faults
PAIRS, CONCURRENCY = 60, 6

LABEL = """
import sys
from pathlib import Path
from tasks.core.labeling.client import label_all
from tasks.core.labeling.endpoint import Endpoint
from tasks.core.labeling.journal import Journal
from tasks.core.policy import parse_policy_text
from tests.core.labeling.conftest import POLICY_TEXT, make_requests

endpoint = Endpoint(
    sys.argv[1], "scripted-1", api_key_env="", requests_per_minute=1e6, tokens_per_minute=1e10,
    concurrency=int(sys.argv[3]), timeout_s=5.0, backoff_s=0.01,
)
with Journal(Path(sys.argv[2])) as journal:
    label_all(
        make_requests(int(sys.argv[4])), policy=parse_policy_text(POLICY_TEXT, "policy.md"),
        endpoint=endpoint, journal=journal,
    )
"""


def label_until_killed(
    server: ScriptedEndpoint, path: Path, fault: str, concurrency: int = CONCURRENCY
) -> None:
    arguments = [server.base_url, str(path), str(concurrency), str(PAIRS)]
    killed = subprocess.run(
        [sys.executable, "-c", LABEL, *arguments],
        env=os.environ | {"COOKBOOK_FAULT": fault, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr.decode()


@pytest.mark.parametrize("point", ["label_after_intent", "label_after_reply", "label_after_result"])
def test_a_kill_repeats_at_most_the_calls_in_flight(
    point: str, policy: Policy, tmp_path: Path
) -> None:
    with ScriptedEndpoint(right_grade) as server:
        label_until_killed(server, tmp_path / "j", f"{point}:30")
        with Journal(tmp_path / "j") as journal:
            left_open = journal.perhaps_billed_in_crash
            done = label_all(
                make_requests(PAIRS), policy=policy, endpoint=make_endpoint(server), journal=journal
            )
        assert server.billed_calls <= PAIRS + CONCURRENCY
        # What was billed twice was announced as perhaps billed.
        assert server.billed_calls - PAIRS <= left_open <= CONCURRENCY
    assert [judgment.grade for judgment in done.judgments] == [i % 4 for i in range(PAIRS)]
    assert done.progress.possibly_billed == left_open


def test_an_answer_in_the_journal_is_never_paid_for_again(policy: Policy, tmp_path: Path) -> None:
    """One call at a time, killed right after its answer was noted: nothing is repeated."""
    with ScriptedEndpoint(right_grade) as server:
        label_until_killed(server, tmp_path / "j", "label_after_result:30", concurrency=1)
        with Journal(tmp_path / "j") as journal:
            label_all(
                make_requests(PAIRS), policy=policy, endpoint=make_endpoint(server), journal=journal
            )
        assert server.billed_calls == PAIRS
        assert set(server.billed.values()) == {1}


def test_two_kills_cost_no_more_than_the_calls_in_flight_of_each(
    policy: Policy, tmp_path: Path
) -> None:
    with ScriptedEndpoint(right_grade) as server:
        label_until_killed(server, tmp_path / "j", "label_after_reply:10")
        label_until_killed(server, tmp_path / "j", "label_after_reply:20")
        with Journal(tmp_path / "j") as journal:
            done = label_all(
                make_requests(PAIRS), policy=policy, endpoint=make_endpoint(server), journal=journal
            )
        assert server.billed_calls <= PAIRS + 2 * CONCURRENCY
    assert len(done.judgments) == PAIRS


@pytest.mark.slow
def test_kills_at_random_moments_lose_nothing_and_repeat_little(
    policy: Policy, tmp_path: Path
) -> None:
    """Killed from outside, at moments no fault point names; the labels equal a straight run's."""
    moments = random.Random(0)

    def slow(call: Call) -> Answer:
        return replace(right_grade(call), delay_s=0.02)

    kills = 0
    with ScriptedEndpoint(slow) as server:
        arguments = [server.base_url, str(tmp_path / "j"), str(CONCURRENCY), str(10 * PAIRS)]
        while True:
            process = subprocess.Popen([sys.executable, "-c", LABEL, *arguments])
            wait_for_calls(server, process, 40 + moments.randrange(80))
            if process.poll() is not None:
                break
            time.sleep(moments.random() * 0.02)
            process.kill()
            process.wait()
            kills += 1
        assert process.returncode == 0
        with Journal(tmp_path / "j") as journal:
            endpoint = make_endpoint(server)
            before = server.billed_calls
            done = label_all(
                make_requests(10 * PAIRS), policy=policy, endpoint=endpoint, journal=journal
            )
            assert server.billed_calls == before
        assert server.billed_calls <= 10 * PAIRS + kills * CONCURRENCY
    assert kills >= 3
    assert [judgment.grade for judgment in done.judgments] == [i % 4 for i in range(10 * PAIRS)]


def wait_for_calls(
    server: ScriptedEndpoint, process: "subprocess.Popen[bytes]", count: int
) -> None:
    """Wait until the endpoint has seen this many more calls, or the process has ended."""
    wanted = server.call_count + count
    while server.call_count < wanted and process.poll() is None:
        time.sleep(0.005)
