"""Judges with planted weaknesses: the search, the measurements and the gate find each of them."""

import json
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tasks.core.errors import CookbookError
from tasks.core.labeling.endpoint import Endpoint
from tasks.core.labeling.gate import Verdict, judge_verdict
from tasks.core.labeling.journal import Journal
from tasks.core.labeling.judge import GoldenPair, Judge, by_pair
from tasks.core.labeling.prompt_search import prompt_candidates, search_prompts
from tasks.core.labeling.prompts import LabelRequest, Prompt
from tasks.core.labeling.twins import ATTACKS, defense_cost, measure_noise, measure_twins
from tasks.core.labeling.weaknesses import JudgeLimits, find_weaknesses, refuse_for
from tasks.core.labeling.wobble import measure_wobble
from tasks.core.policy import Policy
from tests.core.labeling.conftest import make_endpoint
from tests.core.labeling.scripted_endpoint import Answer, Call, ScriptedEndpoint

QUERIES = 9
Grades = dict[str, int]
Reading = Callable[[Call], Grades]


def golden(policy: Policy) -> list[GoldenPair]:
    """Four pairs for each of nine queries, whose documents state their dimension grades."""
    generator = np.random.default_rng(0)
    pairs = []
    for number in range(QUERIES * 4):
        need, place = (int(grade) for grade in generator.integers(0, 4, 2))
        query = f"ward nurse {number // 4}"
        request = LabelRequest(f"p{number}", query, "", f"post {number} need {need} place {place}")
        grades: dict[str, int | None] = {"NEED": need, "PLACE": place}
        pairs.append(GoldenPair(request, str(number // 4), policy.aggregate(grades), grades))
    return pairs


def read(call: Call) -> Grades:
    """What a careful reader finds in the document; nothing, in a text without a statement."""
    words = call.pair["document"].split()
    found = {
        name: int(words[words.index(word) + 1])
        for name, word in (("NEED", "need"), ("PLACE", "place"))
        if word in words and words[words.index(word) + 1 :][:1] in (["0"], ["1"], ["2"], ["3"])
    }
    return {"NEED": found.get("NEED", 0), "PLACE": found.get("PLACE", 0)}


def over_generous(call: Call) -> Grades:
    return {name: min(grade + 1, 3) for name, grade in read(call).items()}


def order_sensitive(call: Call) -> Grades:
    query_first = next(iter(call.pair)) == "query"
    return read(call) if query_first else {name: 3 - grade for name, grade in read(call).items()}


def blind_to_place(call: Call) -> Grades:
    return read(call) | {"PLACE": 3}


def fooled_by_stuffing(call: Call) -> Grades:
    stuffed = call.pair["document"].count(call.pair["query"]) >= 3
    return {"NEED": 3, "PLACE": 3} if stuffed else read(call)


def matches_keywords(call: Call) -> Grades:
    hit = call.pair["query"] in call.pair["document"]
    return {"NEED": 2, "PLACE": 2} if hit else read(call)


def obeys(call: Call) -> Grades:
    told = "Ignore the policy" in call.pair["document"]
    return {"NEED": 3, "PLACE": 3} if told else read(call)


class Moody:
    """Every second time that it is asked the very same, it finds a grade more."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.lock = threading.Lock()

    def __call__(self, call: Call) -> Grades:
        with self.lock:
            mood = self.asked[str(call.messages)] % 2
            self.asked[str(call.messages)] += 1
        return {name: min(grade + mood, 3) for name, grade in read(call).items()}


def script(reading: Reading, policy: Policy) -> Callable[[Call], Answer]:
    def answer(call: Call) -> Answer:
        grades = reading(call)
        dimensions = [{"id": n, "evidence": "x", "grade": g} for n, g in grades.items()]
        overall = policy.aggregate(grades)
        content = {"dimensions": dimensions, "clauses": [], "grade": overall, "reason": ""}
        return Answer(json.dumps(content))

    return answer


@pytest.fixture
def judge_of(policy: Policy, tmp_path: Path) -> Iterator[Callable[[Reading], Judge]]:
    servers: list[ScriptedEndpoint] = []

    with Journal(tmp_path / "j") as journal:

        def build(reading: Reading) -> Judge:
            server = ScriptedEndpoint(script(reading, policy), model=f"judge-{len(servers)}")
            server.__enter__()
            servers.append(server)
            endpoint: Endpoint = make_endpoint(server)
            return Judge(policy, endpoint, journal)

        yield build
        for server in servers:
            server.__exit__(None, None, None)


def verdict_on(judge: Judge, pairs: list[GoldenPair]) -> Verdict:
    judged = by_pair(judge.label([pair.request for pair in pairs]))
    answers = [judged[pair.request.pair_id] for pair in pairs]
    return judge_verdict(
        [pair.grade for pair in pairs],
        [answer.grade for answer in answers],
        None,
        [pair.query_id for pair in pairs],
        grade_count=4,
        floor_kappa=0.5,
        floor_human_share=0.8,
        dimension_grades={
            name: (
                [pair.dimension_grades[name] for pair in pairs],
                [(answer.dimension_grades or {})[name] for answer in answers],
            )
            for name in ("NEED", "PLACE")
        },
    )


def weaknesses_of(judge: Judge, pairs: list[GoldenPair]) -> tuple[Verdict, str]:
    verdict = verdict_on(judge, pairs)
    found = find_weaknesses(
        verdict,
        wobbles=measure_wobble(judge, [pair.request for pair in pairs]),
        twins=measure_twins(judge, pairs),
        noise_share=measure_noise(judge, pairs),
        limits=JudgeLimits(),
    )
    return refuse_for(verdict, found), " ".join(found)


def test_a_careful_judge_has_no_weakness(
    judge_of: Callable[[Reading], Judge], policy: Policy
) -> None:
    verdict, found = weaknesses_of(judge_of(read), golden(policy))
    assert found == ""
    assert verdict.passed


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        (over_generous, "over-generous"),
        (order_sensitive, "wobbles when reordered"),
        (blind_to_place, "blind to the dimension PLACE"),
        (fooled_by_stuffing, "fooled by keyword stuffing"),
        (matches_keywords, "takes words for relevance"),
        (obeys, "fooled by instruction"),
        (Moody(), "wobbles when asked again"),
    ],
)
def test_each_planted_weakness_is_found_and_refused(
    reading: Reading, words: str, judge_of: Callable[[Reading], Judge], policy: Policy
) -> None:
    verdict, found = weaknesses_of(judge_of(reading), golden(policy))
    assert words in found
    assert not verdict.passed
    assert words in verdict.reason


def test_hidden_unicode_does_not_even_reach_the_judge(
    judge_of: Callable[[Reading], Judge], policy: Policy
) -> None:
    shifts = {twin.attack: twin for twin in measure_twins(judge_of(read), golden(policy))}
    assert shifts.keys() == ATTACKS.keys()
    assert (shifts["hidden unicode"].shift.value, shifts["hidden unicode"].raised_share) == (0, 0)


def test_the_cost_of_the_defense_is_measured_on_clean_pairs(
    judge_of: Callable[[Reading], Judge], policy: Policy
) -> None:
    def timid(call: Call) -> Grades:
        warned = "written by strangers" in call.messages[0]["content"]
        return {name: max(grade - warned, 0) for name, grade in read(call).items()}

    assert defense_cost(judge_of(timid), golden(policy)) > 0.5
    assert defense_cost(judge_of(read), golden(policy)) == 0.0


# --- prompt search ----------------------------------------------------------


def better_when_sceptical(call: Call) -> Grades:
    sceptical = "Most pairs are no good match" in call.messages[0]["content"]
    return read(call) if sceptical else over_generous(call)


def test_the_search_finds_the_prompt_that_agrees_best(
    judge_of: Callable[[Reading], Judge], policy: Policy
) -> None:
    pairs = golden(policy)
    judge = judge_of(better_when_sceptical)
    search = search_prompts(judge, prompt_candidates(policy), pairs, max_calls=10_000)
    assert search.best.name == "sceptical"
    assert search.honest_kappa == pytest.approx(1.0)
    assert search.looks == 4 * len(pairs)
    assert search.calls == 4 * len(pairs)


def test_the_search_keeps_to_its_call_budget(
    judge_of: Callable[[Reading], Judge], policy: Policy
) -> None:
    pairs = golden(policy)
    # Two candidates and the repairs of the second fit; a third could go beyond.
    budget = 3 * len(pairs)
    search = search_prompts(judge_of(read), prompt_candidates(policy), pairs, max_calls=budget)
    assert len(search.scores) == 2
    assert search.untried == ("by_dimension", "precedents")
    assert search.calls <= budget
    with pytest.raises(CookbookError, match="call budget"):
        search_prompts(judge_of(read), prompt_candidates(policy), pairs, max_calls=10)


def test_picking_among_coin_flips_is_not_taken_for_skill(
    judge_of: Callable[[Reading], Judge], policy: Policy
) -> None:
    """Of many random prompts the best looks good on its own tune pairs; held-out folds tell."""

    def coin(salt: int) -> Reading:
        def read(call: Call) -> Grades:
            told = f"{salt} {call.messages[0]['content']} {call.pair['document']}"
            need, place = np.random.default_rng(zlib.crc32(told.encode())).integers(0, 4, 2)
            return {"NEED": int(need), "PLACE": int(place)}

        return read

    candidates = [Prompt(f"v{n}", instructions=f"Variant {n}") for n in range(15)]
    searches = [
        search_prompts(judge_of(coin(salt)), candidates, golden(policy), max_calls=10_000)
        for salt in range(6)
    ]
    apparent = np.mean([max(score.kappa for score in one.scores) for one in searches])
    honest = np.mean([one.honest_kappa for one in searches])
    assert apparent > 0.2
    # No prompt has skill, so the law is about the mean: a single draw may be lucky. It may lie
    # below zero: of few pairs, those a prompt was lucky on are missing from the fold held out.
    assert honest < 0.1
