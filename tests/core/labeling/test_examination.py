"""A judge is asked no more than it takes to refuse it, and its verdict says what it rests on."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tasks.core.labeling.examination import Checks, examine, sample_pairs
from tasks.core.labeling.journal import Journal
from tasks.core.labeling.judge import GoldenPair, Judge
from tasks.core.labeling.prompt_search import affordable_pairs
from tasks.core.labeling.weaknesses import JudgeLimits
from tasks.core.policy import Policy
from tests.core.labeling.conftest import make_endpoint, make_requests, right_grade
from tests.core.labeling.scripted_endpoint import Answer, Call, ScriptedEndpoint, grade_answer

CHECKS = Checks(wobble_pairs=8, twin_pairs=6, limits=JudgeLimits())
PAIRS = 48
GOLDEN = [
    GoldenPair(request, f"q{number // 4}", number % 4, {"NEED": number % 4, "PLACE": number % 4})
    for number, request in enumerate(make_requests(PAIRS))
]


def careful(call: Call) -> Answer:
    """Right about the pairs and about twins of them; nonsense gets 0."""
    words = call.pair["document"].split()
    after = words.index("worth") + 1 if "worth" in words else len(words)
    stated = words[after].rstrip(".") if after < len(words) else ""
    known = stated in ("0", "1", "2", "3") and "job" in words[:after]
    return Answer(grade_answer(int(stated) if known else 0))


def exam(
    script: Callable[[Call], Answer], policy: Policy, journal: Journal, checks: Checks | None
) -> tuple[dict[str, object], int]:
    with ScriptedEndpoint(script) as server:
        judge = Judge(policy, make_endpoint(server), journal)
        found = examine(judge, GOLDEN, None, floor_kappa=0.5, floor_human_share=0.8, checks=checks)
        return found.to_json(), server.call_count


def test_a_good_judge_is_measured_in_every_way(policy: Policy, journal: Journal) -> None:
    found, calls = exam(careful, policy, journal, CHECKS)
    assert found["passed"], found["reason"]
    assert found["weaknesses"] == []
    # The gate; three passes of wobble; seven attacks, nonsense and the bare prompt.
    assert calls <= PAIRS + 3 * 8 + 9 * 6
    assert calls > PAIRS + 3 * 8 + 7 * 6
    assert found["stated"] == {"differing": 0.0, "kappa": 1.0}
    assert found["dimension_kappas"] == {"NEED": 1.0, "PLACE": 1.0}
    assert found["answered"] == PAIRS
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_judge_below_the_floor_is_asked_nothing_more(policy: Policy, journal: Journal) -> None:
    def inverted(call: Call) -> Answer:
        return Answer(grade_answer(3 - int(call.pair["document"].split()[-1])))

    found, calls = exam(inverted, policy, journal, CHECKS)
    assert not found["passed"]
    assert calls == PAIRS
    assert (found["wobbles"], found["twins"], found["noise_share"]) == ([], [], None)


def test_a_weakness_closes_the_gate_that_kappa_left_open(policy: Policy, journal: Journal) -> None:
    def blind(call: Call) -> Answer:
        answer = json.loads(right_grade(call).text)
        answer["dimensions"][1]["grade"] = 2
        return Answer(json.dumps(answer))

    found, _ = exam(blind, policy, journal, replace(CHECKS, wobble_pairs=0, twin_pairs=0))
    assert found["kappa"]["value"] > 0.5  # type: ignore[index]
    assert not found["passed"]
    assert "blind to the dimension PLACE" in str(found["reason"])


def test_without_checks_agreement_alone_decides(policy: Policy, journal: Journal) -> None:
    found, calls = exam(right_grade, policy, journal, None)
    assert found["passed"]
    assert calls == PAIRS


def test_a_judge_whose_own_grade_is_not_the_policys_is_told_apart(
    policy: Policy, journal: Journal
) -> None:
    """It grades the dimensions well and adds them up badly: the policy's sum is what counts."""

    def cannot_add(call: Call) -> Answer:
        answer = json.loads(right_grade(call).text)
        return Answer(json.dumps(answer | {"grade": 3 - answer["grade"]}))

    found, _ = exam(cannot_add, policy, journal, replace(CHECKS, wobble_pairs=0, twin_pairs=0))
    assert found["passed"]
    stated = found["stated"]
    assert stated["differing"] == 1.0  # type: ignore[index]
    assert stated["kappa"] < 0 < found["kappa"]["value"]  # type: ignore[index]


def test_a_sample_keeps_the_order_and_the_seed() -> None:
    chosen = sample_pairs(GOLDEN, 5, seed=3)
    assert [GOLDEN.index(pair) for pair in chosen] == sorted(GOLDEN.index(p) for p in chosen)
    assert sample_pairs(GOLDEN, 5, seed=3) == chosen
    assert sample_pairs(GOLDEN, 99, seed=3) == GOLDEN


@pytest.mark.parametrize("calls", [0, 60, 100, 1000])
def test_prompt_search_draws_whole_queries_within_its_budget(calls: int) -> None:
    drawn = affordable_pairs(GOLDEN, 4, calls)
    assert len(drawn) <= calls // 5
    sizes = np.unique([pair.query_id for pair in drawn], return_counts=True)[1]
    assert set(sizes.tolist()) <= {4}
    assert len(drawn) == min(PAIRS, calls // 5 // 4 * 4)
