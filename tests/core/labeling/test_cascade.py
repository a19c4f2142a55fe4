"""The strong judge is asked where the cheap ones cannot be trusted, and only there."""

import json
import math
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tasks.core.labeling.cascade import Cascade, CascadeRun
from tasks.core.labeling.journal import Journal
from tasks.core.labeling.judge import Judge
from tasks.core.labeling.replies import Judgment
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
    cheap: list[Callable[[Call], Answer]], policy: Policy, path: Path, audited: int = 0
) -> tuple[CascadeRun, list[Judgment | None], int]:
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(path))

        def judge(name: str, script: Callable[[Call], Answer]) -> tuple[Judge, ScriptedEndpoint]:
            server = stack.enter_context(ScriptedEndpoint(script, model=name))
            return Judge(policy, make_endpoint(server), journal), server

        cheap_judges = [judge(f"cheap-{n}", script)[0] for n, script in enumerate(cheap)]
        strong, strong_server = judge("strong", right_grade)
        both = Cascade(cheap_judges, strong, unsure_below=0.7, audited=audited)
        done = both.run(make_requests(40))
        labels = [both.stored(request) for request in make_requests(40)]
        return done, labels, len(strong_server.calls)


def grades(labels: list[Judgment | None]) -> list[int | None]:
    return [label and label.grade for label in labels]


def test_unsure_pairs_go_up(policy: Policy, tmp_path: Path) -> None:
    def unsure_about_ones(call: Call) -> Answer:
        # Sure and right, but for grade 1, which it guesses to be 2.
        return with_confidence(2, 0.5) if worth(call) == 1 else with_confidence(worth(call), 0.9)

    done, labels, strong_calls = cascade([unsure_about_ones], policy, tmp_path / "j")
    assert strong_calls == 10
    assert done.escalated_share == 0.25
    assert grades(labels) == [n % 4 for n in range(40)]
    assert [label and label.judge for label in labels[:2]] == ["cheap-0", "strong"]


def test_pairs_on_which_two_cheap_judges_differ_go_up(policy: Policy, tmp_path: Path) -> None:
    def never_full(call: Call) -> Answer:
        return Answer(grade_answer(min(worth(call), 2)))

    _, labels, strong_calls = cascade([right_grade, never_full], policy, tmp_path / "j")
    assert strong_calls == 10
    assert grades(labels) == [n % 4 for n in range(40)]


def test_pairs_without_a_cheap_label_go_up(policy: Policy, tmp_path: Path) -> None:
    def silent_on_threes(call: Call) -> Answer:
        return Answer("sorry") if worth(call) == 3 else right_grade(call)

    done, labels, strong_calls = cascade([silent_on_threes], policy, tmp_path / "j")
    assert strong_calls == 10
    assert grades(labels) == [n % 4 for n in range(40)]
    assert done.quarantined == []


def test_each_rung_reports_its_share_and_its_agreement(policy: Policy, tmp_path: Path) -> None:
    def generous(call: Call) -> Answer:
        return with_confidence(min(worth(call) + 1, 3), 0.5)

    done, _, _ = cascade([generous], policy, tmp_path / "j")
    cheap, strong = done.rungs
    assert (cheap.judge, cheap.asked, cheap.kept, cheap.calls) == ("cheap-0", 40, 0, 40)
    assert (strong.judge, strong.asked, strong.kept) == ("strong", 40, 40)
    # Human-free arithmetic: strong 0,1,2,3 against cheap 1,2,3,3 in equal shares.
    # Observed (1+1+1+0)/4; expected var 1.25 + var 0.6875 + (1.5 - 2.25)^2 = 2.5.
    assert cheap.kappa_on_hard == pytest.approx(1 - 0.75 / 2.5)
    assert json.dumps(strong.kappa_on_hard) == "null"


def test_pairs_that_stay_below_are_audited(policy: Policy, tmp_path: Path) -> None:
    """Sure of every pair, and wrong about every fourth: only an audit can find that."""

    def sure(call: Call) -> Answer:
        return with_confidence(2 if worth(call) == 3 else worth(call), 0.95)

    done, _, strong_calls = cascade([sure], policy, tmp_path / "j", audited=40)
    cheap, strong = done.rungs
    assert (done.escalated_share, cheap.kept, strong.kept) == (0.0, 40, 0)
    assert (strong.calls, strong_calls) == (40, 40)
    assert (cheap.kept_audited, cheap.same_grade_on_kept) == (40, 0.75)


def test_a_cascade_that_is_run_again_asks_nobody(policy: Policy, tmp_path: Path) -> None:
    def unsure(call: Call) -> Answer:
        return with_confidence(worth(call), 0.5 if worth(call) == 1 else 0.9)

    first, labels, _ = cascade([unsure], policy, tmp_path / "j", audited=5)
    again, same, strong_calls = cascade([unsure], policy, tmp_path / "j", audited=5)
    assert (first.progress.calls, again.progress.calls, strong_calls) == (40 + 10 + 5, 0, 0)
    assert same == labels
    assert (again.progress.finished, again.progress.labeled) == (40, 40)
