"""Only a complete, strict answer on the scale becomes a label."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.labeling.chat import CallFailedError, parse_completion
from tasks.core.labeling.grade_tokens import grade_distribution, grade_token_logprobs
from tasks.core.labeling.replies import Judgment, Reply, ReplyError, Status, parse_reply
from tasks.core.policy import parse_policy_text
from tests.core.labeling.conftest import POLICY_TEXT
from tests.core.labeling.scripted_endpoint import grade_answer

POLICY = parse_policy_text(POLICY_TEXT, "policy.md")


def parse(text: str, **fields: Any) -> Judgment:
    reply = Reply(text=text, model="m", **({"finish_reason": "stop"} | fields))
    return parse_reply(reply, POLICY, pair_id="p", prompt_hash="h", needs_dimensions=True)


def status_of(text: str, **fields: Any) -> Status:
    with pytest.raises(ReplyError) as caught:
        parse(text, **fields)
    return caught.value.status


def answer(**changes: Any) -> str:
    return json.dumps(json.loads(grade_answer(2)) | changes)


def test_a_valid_answer_is_kept_whole() -> None:
    judgment = parse(grade_answer(2))
    assert judgment.grade == 2
    assert judgment.dimension_grades == {"NEED": 2, "PLACE": 2}
    assert judgment.clauses == ("NEED-1",)
    assert judgment.rationale == "It says so."
    assert judgment.policy_hash == POLICY.digest


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2",
        "```json\n" + grade_answer(2) + "\n```",
        "Here you are: " + grade_answer(2),
        grade_answer(2) + " Glad to help.",
        grade_answer(2)[:-1] + ",}",
        grade_answer(2).replace('"grade": 2, "reason"', '"grade": NaN, "reason"'),
        grade_answer(2).replace('"grade": 2, "reason"', '"grade": Infinity, "reason"'),
        grade_answer(2).replace('"reason"', '"grade": 3, "reason"'),
        grade_answer(2).replace('"', "'"),
        "[" * 100_000,
        grade_answer(2) + " " * 300_000,
    ],
)
def test_what_is_no_strict_json_is_no_label(text: str) -> None:
    assert status_of(text) in (Status.MALFORMED, Status.OFF_SCHEMA)


@pytest.mark.parametrize("grade", [4, -1, 2.0, "2", True, None, [2], {"value": 2}, 10**400])
def test_a_grade_must_be_an_integer_on_the_scale(grade: Any) -> None:
    assert status_of(answer(grade=grade)) is Status.OFF_SCHEMA


@pytest.mark.parametrize("grade", [4, -1, 2.0, "2", True])
def test_so_must_a_dimension_grade(grade: Any) -> None:
    dimensions = json.loads(grade_answer(2))["dimensions"]
    dimensions[1]["grade"] = grade
    assert status_of(answer(dimensions=dimensions)) is Status.OFF_SCHEMA


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists))
def test_no_other_json_value_is_a_grade(value: object) -> None:
    assert status_of(answer(grade=value)) in (Status.OFF_SCHEMA, Status.MALFORMED)


@pytest.mark.parametrize(
    "changes",
    [
        {"dimensions": []},
        {"dimensions": None},
        {"dimensions": [{"id": "NEED", "evidence": "x", "grade": 1}]},
        {"dimensions": [{"id": "NEED", "evidence": "x", "grade": 1}] * 2},
        {"dimensions": [{"id": i, "evidence": "", "grade": None} for i in ("NEED", "PLACE")]},
        {"clauses": ["NEED-9"]},
        {"clauses": "NEED-1"},
        {"reason": 3},
        {"confidence": 0.9},
    ],
)
def test_what_the_schema_forbids_is_no_label(changes: dict[str, Any]) -> None:
    assert status_of(answer(**changes)) is Status.OFF_SCHEMA


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"finish_reason": "length"}, Status.TRUNCATED),
        ({"finish_reason": "content_filter"}, Status.FILTERED),
        ({"finish_reason": "tool_calls"}, Status.OFF_SCHEMA),
        ({"refusal": "No."}, Status.REFUSED),
    ],
)
def test_a_valid_looking_answer_that_did_not_end_well_is_no_label(
    fields: dict[str, Any], status: Status
) -> None:
    assert status_of(grade_answer(2), **fields) is status


def test_a_dimension_that_does_not_apply_is_left_out_of_the_grade() -> None:
    dimensions = json.loads(grade_answer(1))["dimensions"]
    dimensions[0]["grade"] = None
    assert parse(answer(dimensions=dimensions)).grade == 1


def test_the_stated_grade_is_kept_beside_the_aggregation() -> None:
    # NEED 2 weighs 0.75, PLACE 0 weighs 0.25: 1.5, half up, 2; the judge says 1.
    dimensions = json.loads(grade_answer(2))["dimensions"]
    dimensions[1]["grade"] = 0
    judgment = parse(answer(dimensions=dimensions, grade=1), grade_logprobs={"1": -0.1})
    assert (judgment.grade, judgment.stated_grade) == (2, 1)
    assert judgment.grade_probabilities is None


def test_the_embedded_judge_may_leave_dimensions_out() -> None:
    text = '{"dimensions": null, "clauses": null, "grade": 3, "reason": ""}'
    reply = Reply(text=text, model="m", finish_reason="stop")
    judgment = parse_reply(reply, POLICY, pair_id="p", prompt_hash="h", needs_dimensions=False)
    assert (judgment.grade, judgment.dimension_grades, judgment.rationale) == (3, None, None)


def tokens_of(text: str, pieces: list[str]) -> list[dict[str, Any]]:
    """Tokens that spell the text, each with itself as its only alternative."""
    assert "".join(pieces) == text
    return [
        {"token": piece, "top_logprobs": [{"token": piece, "logprob": -float(number)}]}
        for number, piece in enumerate(pieces)
    ]


def test_the_distribution_is_read_at_the_overall_grade_and_not_at_a_dimension() -> None:
    text = '{"dimensions":[{"grade":3}],"note":"\\"grade\\":1","grade":2}'
    pieces = ['{"dimensions":[{"grade":', "3", '}],"note":"\\"grade\\":1","grade":', "2", "}"]
    assert grade_token_logprobs(text, tokens_of(text, pieces)) == {"2": -3.0}


def test_tokens_that_do_not_spell_the_answer_are_not_trusted() -> None:
    text = '{"grade":2}'
    assert grade_token_logprobs(text, tokens_of('{"grade":3}', ['{"grade":', "3", "}"])) is None


def test_the_distribution_is_over_grades_alone() -> None:
    # 0.5 and 0.25 on grades, 0.2 on a word: two thirds and one third.
    logprobs = {"2": math.log(0.5), " 3": math.log(0.25), "two": math.log(0.2), "9": -1.0}
    assert grade_distribution(logprobs, 4) == pytest.approx((0, 0, 2 / 3, 1 / 3))


def test_no_logprobs_make_no_distribution() -> None:
    assert grade_distribution(None, 4) is None
    assert grade_distribution({"two": -0.1}, 4) is None


def test_a_log_probability_that_is_none_is_left_out() -> None:
    logprobs = {"1": math.log(0.5), "2": 1000.0, "3": float("nan")}
    assert grade_distribution(logprobs, 4) == (0, 1, 0, 0)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
PLACES = [
    ("choices",),
    ("choices", 0),
    ("choices", 0, "message"),
    ("choices", 0, "message", "content"),
    ("choices", 0, "message", "refusal"),
    ("choices", 0, "finish_reason"),
    ("choices", 0, "logprobs"),
    ("choices", 0, "logprobs", "content"),
    ("choices", 0, "logprobs", "content", 0),
    ("choices", 0, "logprobs", "content", 1, "top_logprobs"),
    ("usage",),
    ("usage", "prompt_tokens"),
    ("usage", "prompt_tokens_details"),
    ("model",),
]


def completion() -> dict[str, Any]:
    head, tail = grade_answer(2).rsplit("2", 1)
    pieces = [head, "2", tail]
    tokens = [{"token": p, "top_logprobs": [{"token": p, "logprob": -0.1}]} for p in pieces]
    choice = {
        "message": {"content": grade_answer(2), "refusal": None},
        "finish_reason": "stop",
        "logprobs": {"content": tokens},
    }
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {}}
    return {"choices": [choice], "usage": usage, "model": "m"}


def test_the_completion_that_is_broken_below_is_a_good_one() -> None:
    reply = parse_completion(completion())
    assert (reply.grade_logprobs, reply.input_tokens) == ({"2": -0.1}, 3)
    assert parse(reply.text, grade_logprobs=reply.grade_logprobs).grade == 2


@given(st.sampled_from(PLACES), JSON_VALUES)
def test_no_value_anywhere_in_a_completion_gets_past_the_two_errors(
    place: tuple[str | int, ...], value: object
) -> None:
    """A strange body may cost a retry or a repair; it must never end the run."""
    body = completion()
    target: Any = body
    for step in place[:-1]:
        target = target[step]
    target[place[-1]] = value
    try:
        reply = parse_completion(body)
        judgment = parse_reply(reply, POLICY, pair_id="p", prompt_hash="h", needs_dimensions=True)
    except (CallFailedError, ReplyError):
        return
    assert judgment.grade == 2
    assert reply.input_tokens >= 0
    if judgment.grade_probabilities is not None:
        assert sum(judgment.grade_probabilities) == pytest.approx(1.0)
