"""The strong judge is asked where the cheap ones cannot be trusted, and only there."""

import json
import math
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tasks.core.labeling.cascade import CascadeRun, run_cascade
from tasks.core.labeling.journal import Journal
from tasks.core.labeling.judge import Judge
from tasks.core.policy import Policy
from tests.core.labeling.conftest import make_endpoint, make_requests, right_grade
from tests.core.labeling.scripted_endpoint import Answer, Call, ScriptedEndpoint, grade_answer


def worth(call: Call) -> int:
    return int(call.pair["document"].split()[-1])


def with_confidence(grade: int, share: float) -> Answer:
    """A valid answer whose grade token has this probability."""
    text = grade_answer(grade)
    head, tail = text.rsplit('"grade": ', 1)
    others = [value for value in range(4) if value != grade]
    top = [{"token": str(grade), "logprob": math.log(share)}]
    top += [{"token": str(v), "logprob": math.log((1 - share) / 3)} for v in others]
    pieces: list[dict[str, Any]] = [
        {"token": head + '"grade": ', "top_logprobs": []},
        {"token": str(grade), "top_logprobs": top},
        {"token": tail[1:], "top_logprobs": []},
    ]
    return Answer(text, logprobs=pieces)


def cascade(
    cheap: list[Callable[[Call], Answer]], policy: Policy, path: Path, count: int = 40
) -> tuple[CascadeRun, int]:
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(path))

        def judge(name: str, script: Callable[[Call], Answer]) -> tuple[Judge, ScriptedEndpoint]:
            server = stack.enter_context(ScriptedEndpoint(script, model=name))
            return Judge(policy, make_endpoint(server), journal), server

        cheap_judges = [judge(f"cheap-{n}", script)[0] for n, script in enumerate(cheap)]
        strong, strong_server = judge("strong", right_grade)
        done = run_cascade(cheap_judges, strong, make_requests(count), unsure_below=0.7)
        return done, len(strong_server.calls)


def test_unsure_pairs_go_up(policy: Policy, tmp_path: Path) -> None:
    def unsure_about_ones(call: Call) -> Answer:
        # Sure and right, but for grade 1, which it guesses to be 2.
        return with_confidence(2, 0.5) if worth(call) == 1 else with_confidence(worth(call), 0.9)

    done, strong_calls = cascade([unsure_about_ones], policy, tmp_path / "j")
    assert strong_calls == 10
    assert done.escalated_share == 0.25
    assert [judgment.grade for judgment in done.judgments] == [n % 4 for n in range(40)]
    assert [judgment.judge for judgment in done.judgments[:2]] == ["cheap-0", "strong"]


def test_pairs_on_which_two_cheap_judges_differ_go_up(policy: Policy, tmp_path: Path) -> None:
    def never_full(call: Call) -> Answer:
        return Answer(grade_answer(min(worth(call), 2)))

    done, strong_calls = cascade([right_grade, never_full], policy, tmp_path / "j")
    assert strong_calls == 10
    assert [judgment.grade for judgment in done.judgments] == [n % 4 for n in range(40)]


def test_pairs_without_a_cheap_label_go_up(policy: Policy, tmp_path: Path) -> None:
    def silent_on_threes(call: Call) -> Answer:
        return Answer("sorry") if worth(call) == 3 else right_grade(call)

    done, strong_calls = cascade([silent_on_threes], policy, tmp_path / "j")
    assert strong_calls == 10
    assert len(done.judgments) == 40


def test_each_rung_reports_its_share_and_its_agreement(policy: Policy, tmp_path: Path) -> None:
    def generous(call: Call) -> Answer:
        return with_confidence(min(worth(call) + 1, 3), 0.5)

    done, _ = cascade([generous], policy, tmp_path / "j")
    cheap, strong = done.rungs
    assert (cheap.judge, cheap.asked, cheap.kept, cheap.calls) == ("cheap-0", 40, 0, 40)
    assert (strong.judge, strong.asked, strong.kept) == ("strong", 40, 40)
    # Human-free arithmetic: strong 0,1,2,3 against cheap 1,2,3,3 in equal shares.
    # Observed (1+1+1+0)/4; expected var 1.25 + var 0.6875 + (1.5 - 2.25)^2 = 2.5.
    assert cheap.kappa_with_strong == pytest.approx(1 - 0.75 / 2.5)
    assert json.dumps(strong.kappa_with_strong) == "null"
