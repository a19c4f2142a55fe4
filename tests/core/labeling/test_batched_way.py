"""Labeling by batches waits for the provider, and goes on where it was stopped."""

from pathlib import Path
from typing import Any

import pytest

from tasks.core.labeling.budget import BudgetReachedError
from tasks.core.labeling.drain import Drained
from tasks.core.labeling.endpoint import Endpoint
from tasks.core.labeling.journal import Journal
from tasks.core.labeling.judge import Judge
from tasks.core.labeling.ways import Batched
from tasks.core.policy import Policy
from tests.core.labeling.batch_provider import PRICE, BatchProvider, open_desk
from tests.core.labeling.conftest import make_requests


class StoppedError(Exception):
    """The wait was interrupted."""


def batched(
    provider: BatchProvider, journal: Journal, policy: Policy, folder: Path, sleep: Any
) -> Batched:
    endpoint = Endpoint(provider.base_url, "m", api_key_env="")
    return Batched(Judge(policy, endpoint, journal, price=PRICE), folder, 1.0, sleep)


def run_way(way: Batched, count: int) -> tuple[Drained, list[int | None]]:
    done = way.run(
        make_requests(count), max_quarantine_share=0.0, on_progress=lambda progress: None
    )
    labels = [way.stored(request) for request in make_requests(count)]
    return done, [label and label.grade for label in labels]


def test_labeling_by_batches_waits_and_sends_again_what_expired(
    provider: BatchProvider, policy: Policy, journal: Journal, tmp_path: Path
) -> None:
    def sleep(seconds: float) -> None:
        name, batch = list(provider.batches.items())[-1]
        if batch["status"] == "validating":
            is_first = name == "batch-0"
            provider.finish(name, "expired" if is_first else "completed", 6 if is_first else None)

    way = batched(provider, journal, policy, tmp_path / "b", sleep)
    done, grades = run_way(way, 10)
    assert grades == [number % 4 for number in range(10)]
    assert (done.progress.calls, done.progress.billed_calls, done.progress.reused) == (10, 10, 0)
    assert len(provider.batches) == 2
    assert len(provider.billed) == len(set(provider.billed)) == 10
    # 1,000 tokens at 2 dollars a million, halved.
    assert done.spent_usd == pytest.approx(10 * 1000 * 2.0 / 1e6 / 2)


def test_labeling_by_batches_goes_on_after_it_was_stopped(
    provider: BatchProvider, policy: Policy, tmp_path: Path
) -> None:
    def stop(seconds: float) -> None:
        raise StoppedError

    def finish(seconds: float) -> None:
        provider.finish("batch-0")

    with Journal(tmp_path / "j") as journal, pytest.raises(StoppedError):
        run_way(batched(provider, journal, policy, tmp_path / "b", stop), 5)
    with Journal(tmp_path / "j") as journal:
        _, grades = run_way(batched(provider, journal, policy, tmp_path / "b", finish), 5)
    assert grades == [0, 1, 2, 3, 0]
    assert len(provider.batches) == 1


def test_what_is_under_way_counts_against_the_budget_after_a_restart(
    provider: BatchProvider, policy: Policy, tmp_path: Path
) -> None:
    with Journal(tmp_path / "j") as journal:
        desk = open_desk(provider, journal, policy, tmp_path / "b")
        desk.submit(make_requests(4))
        committed = desk.parts[0].most_usd
    with Journal(tmp_path / "j") as journal:
        desk = open_desk(provider, journal, policy, tmp_path / "b", budget=1.1 * committed)
        with pytest.raises(BudgetReachedError):
            desk.submit(make_requests(8))
    assert len(provider.batches) == 1
