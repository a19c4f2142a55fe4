"""What is started from the UI or by a schedule: cancelled, missed, queued, and killed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from tests.flows.served import Served, wait_for
from tests.flows.smoke import half_files, small_domain

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    made = Served(small_domain(folder / "domain"), folder)
    made.start()
    yield made
    made.stop()


def flow_processes(served: Served) -> list[psutil.Process]:
    """Processes below `cookbook serve` that run a flow."""
    assert served.process is not None
    below = psutil.Process(served.process.pid).children(recursive=True)
    return [
        one
        for one in below
        if "prefect.flow_engine" in " ".join(one.cmdline())
        or "prefect.engine" in " ".join(one.cmdline())
    ]


def at_work(served: Served, kind: str) -> bool:
    return any((served.store / "artifacts" / kind).glob("*.building"))


def with_pairs(served: Served) -> Path:
    """The folder of scorings, with three pairs to be scored."""
    folder = served.store / "job_search" / "scoring"
    folder.mkdir(parents=True, exist_ok=True)
    pair = '{"query_id": "1", "query": "nurse", "title": "Nurse", "text": "Night shifts."}\n'
    (folder / "pairs.jsonl").write_text(pair * 3)
    return folder


def test_a_cancelled_run_leaves_no_process_and_the_next_one_goes_on(served: Served) -> None:
    run = served.order("cookbook", profile="smoke")
    served.started(run)
    wait_for(300, "training", lambda: at_work(served, "policy_teacher"))
    processes = flow_processes(served)
    assert processes
    served.cancel(run)
    assert served.ended(run)["state_type"] == "CANCELLED"
    assert not psutil.wait_procs(processes, timeout=60)[1]
    assert half_files(served.store) == []
    again = served.ended(served.order("cookbook", profile="smoke"))
    assert again["state_type"] == "COMPLETED", again["state"]["message"]
    assert "Promoted" in again["state"]["message"]


def test_of_ten_missed_schedules_one_is_made_up_for_and_the_rest_say_why(served: Served) -> None:
    now = datetime.now(UTC)
    missed = [
        served.order("retrain", at=now - timedelta(days=days), profile="smoke")
        for days in range(10, 0, -1)
    ]
    ended = [served.ended(run) for run in missed]
    states = [run["state_type"] for run in ended]
    assert states.count("COMPLETED") == 1, states
    assert states.count("CANCELLED") == 9, states
    reasons = [r["state"]["message"] for r in ended if r["state_type"] == "CANCELLED"]
    assert all(reason for reason in reasons)
    assert any("took everything in" in reason for reason in reasons), reasons


def test_a_start_that_is_too_late_is_skipped_with_its_reason(served: Served) -> None:
    due = datetime.now(UTC) - timedelta(hours=3)
    run = served.order("personalize", at=due, profile="smoke", maximum_lateness_hours=2)
    ended = served.ended(run)
    assert ended["state_type"] == "CANCELLED"
    assert ended["state"]["message"].startswith("Skipped. It was due at")
    assert "over 2 hours ago" in ended["state"]["message"]


def test_twenty_runs_queued_at_once_run_one_after_another(served: Served) -> None:
    folder = with_pairs(served)
    runs = [served.order("score", output=f"scores-{number}.jsonl") for number in range(20)]
    ended = sorted((served.ended(run, 1800) for run in runs), key=lambda run: run["start_time"])
    assert {run["state_type"] for run in ended} == {"COMPLETED"}
    for one, following in pairwise(ended):
        assert one["end_time"] <= following["start_time"]
    assert len(list(folder.glob("scores-*.jsonl"))) == 20


def test_scoring_and_a_decision_do_not_wait_for_a_training(served: Served) -> None:
    with_pairs(served)
    training = served.order("cookbook", profile="laptop")
    served.started(training)
    scored = served.ended(served.order("score", output="beside.jsonl"))
    assert scored["state_type"] == "COMPLETED", scored["state"]["message"]
    words = {"version": "v9999", "decision": "refuse", "reason": "there is none"}
    assert (
        "candidate that waits" in served.ended(served.order("approve", **words))["state"]["message"]
    )
    waits = served.order("label", profile="smoke")
    assert served.run(training)["state_type"] == "RUNNING"
    served.cancel(training)
    assert served.ended(training)["state_type"] == "CANCELLED"
    assert served.ended(waits)["state_type"] == "COMPLETED"


def test_a_killed_serve_leaves_no_process_and_the_next_one_closes_its_run(served: Served) -> None:
    # Of smoke everything may lie in the store by now, and the run end before the kill.
    run = served.order("label", profile="laptop")
    served.started(run)
    assert served.process is not None
    below = psutil.Process(served.process.pid).children(recursive=True)
    served.kill()
    assert not psutil.wait_procs(below, timeout=60)[1]
    served.start()
    assert any("marked as crashed" in line for line in served.said)
    closed = served.run(run)
    assert closed["state_type"] == "CRASHED"
    assert "Run it again" in closed["state"]["message"]
    assert served.ended(served.order("label", profile="smoke"))["state_type"] == "COMPLETED"


def test_the_automation_for_silent_runs_is_shipped_once(served: Served) -> None:
    found = served.api("/automations/filter", {})
    assert [one["name"] for one in found] == ["A run that went silent has crashed"]


def test_what_happened_to_the_model_is_an_event(served: Served) -> None:
    told = served.api(
        "/events/filter", {"filter": {"event": {"prefix": ["cookbook."]}}, "limit": 50}
    )["events"]
    assert "cookbook.promoted" in {one["event"] for one in told}
    assert {one["resource"]["cookbook.domain"] for one in told} == {"job_search"}


def test_scores_lie_in_files_of_their_owner_alone(served: Served) -> None:
    scores = next((served.store / "job_search" / "scoring").glob("scores-*.jsonl"))
    assert scores.stat().st_mode & 0o777 == 0o600
    for folder in (served.store / "artifacts", served.store / "job_search" / "registry"):
        assert Path(folder).stat().st_mode & 0o777 == 0o700
