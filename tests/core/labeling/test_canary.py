"""A model that moved under its name stops the run, and the message names it and the day."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from tasks.core.errors import CookbookError
from tasks.core.labeling.canary import (
    CanaryReading,
    check_canaries,
    choose_canaries,
    read_canaries,
)
from tasks.core.labeling.journal import Journal
from tasks.core.labeling.judge import GoldenPair, Judge
from tasks.core.policy import Policy
from tests.core.labeling.conftest import make_endpoint, make_requests, right_grade
from tests.core.labeling.scripted_endpoint import Answer, Call, ScriptedEndpoint, grade_answer

GOLDEN = [
    GoldenPair(request, f"q{number}", number % 4)
    for number, request in enumerate(make_requests(40))
]
MONDAY, TUESDAY = date(2026, 11, 16), date(2026, 11, 17)


@contextmanager
def judge_at(
    script: Callable[[Call], Answer], policy: Policy, path: Path
) -> Iterator[tuple[Judge, ScriptedEndpoint]]:
    with ScriptedEndpoint(script) as server, Journal(path) as journal:
        yield Judge(policy, make_endpoint(server), journal), server


def test_canaries_cover_every_grade_alike() -> None:
    rare = [pair for pair in GOLDEN if pair.grade != 3] + [GOLDEN[3]]
    grades = [pair.grade for pair in choose_canaries(rare, 13)]
    assert [grades.count(grade) for grade in range(4)] == [4, 4, 4, 1]
    assert choose_canaries(rare, 13) == choose_canaries(rare, 13)


def test_each_day_is_asked_afresh_and_once(policy: Policy, tmp_path: Path) -> None:
    with judge_at(right_grade, policy, tmp_path / "j") as (judge, server):
        monday = read_canaries(judge, GOLDEN, on=MONDAY)
        assert read_canaries(judge, GOLDEN, on=MONDAY) == monday
        assert len(server.calls) == 40
        read_canaries(judge, GOLDEN, on=TUESDAY)
        assert len(server.calls) == 80
    assert monday == CanaryReading("scripted-1", "2026-11-16", 40, 1.0, 0.0)


def test_a_fifth_of_the_canaries_flipped_stops_the_run(policy: Policy, tmp_path: Path) -> None:
    moved = {"yes": False}

    def drifts(call: Call) -> Answer:
        worth = int(call.pair["document"].split()[-1])
        number = int(call.pair["document"].split()[1])
        flipped = moved["yes"] and number % 5 == 0
        return Answer(grade_answer(3 - worth if flipped else worth))

    with judge_at(drifts, policy, tmp_path / "j") as (judge, _):
        monday = read_canaries(judge, GOLDEN, on=MONDAY)
        moved["yes"] = True
        tuesday = read_canaries(judge, GOLDEN, on=TUESDAY)
    with pytest.raises(CookbookError, match=r"scripted-1 .* 2026-11-17 it is 80%"):
        check_canaries(monday, tuesday)
    check_canaries(monday, monday)


def test_a_judge_that_refuses_its_canaries_has_failed_them(policy: Policy, tmp_path: Path) -> None:
    with judge_at(lambda call: Answer("", refusal="No."), policy, tmp_path / "j") as (judge, _):
        reading = read_canaries(judge, GOLDEN[:4], on=MONDAY)
    assert (reading.exact_share, reading.mean_error) == (0.0, 3.0)


def test_a_reading_that_cannot_be_measured_does_not_pass() -> None:
    good = CanaryReading("m", "2026-11-16", 40, 1.0, 0.0)
    unmeasured = CanaryReading("m", "2026-11-17", 0, float("nan"), float("nan"))
    with pytest.raises(CookbookError):
        check_canaries(good, unmeasured)
