"""Each pair is labeled once and paid for once, whatever the endpoint does."""

import json
import socket
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from tasks.core.errors import CookbookError
from tasks.core.labeling import throttle
from tasks.core.labeling.budget import BudgetReachedError
from tasks.core.labeling.client import LabelRun, label_all
from tasks.core.labeling.endpoint import Endpoint
from tasks.core.labeling.journal import Journal
from tasks.core.labeling.outcomes import Progress
from tasks.core.labeling.prices import Price
from tasks.core.labeling.replies import Status
from tasks.core.policy import Policy, parse_policy_text
from tests.core.labeling.conftest import (
    POLICY_TEXT,
    make_endpoint,
    make_requests,
    right_grade,
)
from tests.core.labeling.scripted_endpoint import Answer, Call, ScriptedEndpoint, grade_answer

PRICE = Price(input_usd=1.0, cached_input_usd=0.5, output_usd=2.0)
CALL_USD = (1000 * 1.0 + 50 * 2.0) / 1e6  # the scripted usage at PRICE


def run(
    server: ScriptedEndpoint,
    journal: Journal,
    policy: Policy,
    count: int = 20,
    *,
    endpoint: dict[str, object] | None = None,
    **options: object,
) -> LabelRun:
    options = {"price": PRICE, "max_quarantine_share": 1.0} | options
    return label_all(
        make_requests(count),
        policy=policy,
        endpoint=make_endpoint(server, **(endpoint or {})),
        journal=journal,
        **options,  # type: ignore[arg-type]
    )


def once(answer: Answer, *, on: int = 1) -> Callable[[Call], Answer]:
    """A script that gives this answer to the first ``on`` asks of every pair."""
    return lambda call: answer if call.attempt <= on else right_grade(call)


def test_every_pair_gets_its_grade_in_the_order_of_the_requests(
    policy: Policy, journal: Journal
) -> None:
    with ScriptedEndpoint(right_grade) as server:
        done = run(server, journal, policy)
    assert [judgment.pair_id for judgment in done.judgments] == [f"pair-{i}" for i in range(20)]
    assert [judgment.grade for judgment in done.judgments] == [i % 4 for i in range(20)]
    assert set(server.billed.values()) == {1}
    assert done.progress.spent_usd == pytest.approx(20 * CALL_USD)


def test_a_second_run_pays_for_nothing(policy: Policy, tmp_path: Path) -> None:
    with ScriptedEndpoint(right_grade) as server:
        with Journal(tmp_path / "j") as journal:
            first = run(server, journal, policy)
        with Journal(tmp_path / "j") as journal:
            second = run(server, journal, policy)
        assert len(server.calls) == 20
    assert second.judgments == first.judgments
    assert (second.progress.calls, second.progress.reused) == (0, 20)


def test_one_byte_of_policy_makes_new_labels(policy: Policy, journal: Journal) -> None:
    edited = parse_policy_text(POLICY_TEXT.replace("Of no use.", "Of no use!"), "policy.md")
    with ScriptedEndpoint(right_grade) as server:
        old = run(server, journal, policy, 4)
        new = run(server, journal, edited, 4)
        assert len(server.calls) == 8
    assert old.judgments[0].policy_hash != new.judgments[0].policy_hash


def test_two_pairs_with_the_same_texts_are_paid_for_once(policy: Policy, journal: Journal) -> None:
    twins = make_requests(1) * 5
    with ScriptedEndpoint(lambda call: Answer(grade_answer(0), delay_s=0.05)) as server:
        label_all(twins, policy=policy, endpoint=make_endpoint(server), journal=journal)
        assert len(server.calls) == 1


def test_calls_at_once_stay_within_the_concurrency(policy: Policy, journal: Journal) -> None:
    def script(call: Call) -> Answer:
        """The first goes alone; the others wait for each other, however slow who sends them."""
        all_there = (lambda: True) if call.number == 1 else (lambda: server.most_at_once >= 5)
        return Answer(grade_answer(1), until=all_there, delay_s=0.02)

    with ScriptedEndpoint(script) as server:
        run(server, journal, policy, 40, endpoint={"concurrency": 5})
        assert server.most_at_once == 5


def test_the_policy_comes_first_byte_identical_in_every_request(
    policy: Policy, journal: Journal
) -> None:
    with ScriptedEndpoint(right_grade) as server:
        run(server, journal, policy)
    systems = {call.messages[0]["content"] for call in server.calls}
    assert len(systems) == 1
    assert systems.pop().startswith(policy.text.strip())


# --- limits -----------------------------------------------------------------


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk or a processor that is busy for seconds sends no second probe after the first."""
    monkeypatch.setattr(throttle, "_PROBE_PATIENCE_S", 60.0)


@pytest.mark.usefixtures("patient")
def test_a_storm_of_429_pauses_everybody_until_it_is_over(policy: Policy, journal: Journal) -> None:
    """300 rate limits with 16 workers: one probe at a time, not 16 requests a pause."""
    limited = Answer(status=429, headers={"retry-after": "0.01"})

    def script(call: Call) -> Answer:
        return limited if call.number <= 300 else right_grade(call)

    with ScriptedEndpoint(script) as server:
        done = run(server, journal, policy, endpoint={"concurrency": 16})
        at = [call.at for call in server.calls[:300]]
    assert len(done.judgments) == 20
    assert done.progress.calls == 320
    assert min(later - earlier for earlier, later in pairwise(at)) >= 0.009
    assert done.progress.possibly_billed == 0
    assert done.progress.spent_usd == pytest.approx(20 * CALL_USD)


def test_a_first_call_that_hangs_does_not_hold_back_the_others(
    policy: Policy, journal: Journal
) -> None:
    """It is answered when all others have come; were they held back, it would time out."""

    def script(call: Call) -> Answer:
        hangs = call.number == 1
        return replace(right_grade(call), until=lambda: not hangs or server.call_count == 20)

    with ScriptedEndpoint(script) as server:
        done = run(server, journal, policy)
    assert len(done.judgments) == 20
    assert (done.progress.calls, done.progress.possibly_billed) == (20, 0)


def test_retry_after_of_one_call_holds_back_all_workers(policy: Policy, journal: Journal) -> None:
    def script(call: Call) -> Answer:
        if call.number == 10:
            return Answer(status=429, headers={"retry-after": "0.5"})
        return right_grade(call)

    with ScriptedEndpoint(script) as server:
        run(server, journal, policy, 60, endpoint={"concurrency": 4})
        limited_at = server.calls[9].at
        later = [call.at - limited_at for call in server.calls[10:]]
    # Calls already under way when the answer came are no breach of it.
    assert sum(wait < 0.5 for wait in later) <= 3


def test_a_retry_after_beyond_the_longest_pause_ends_the_run_with_its_labels_kept(
    policy: Policy, journal: Journal
) -> None:
    def script(call: Call) -> Answer:
        if call.number > 5:
            return Answer(status=429, headers={"retry-after": "600"})
        return right_grade(call)

    with ScriptedEndpoint(script) as server:
        with pytest.raises(CookbookError, match="600 s more"):
            run(server, journal, policy)
        assert len(server.calls) <= 5 + 8
    assert len(journal) == 5


def test_requests_keep_to_the_rate(policy: Policy, journal: Journal) -> None:
    with ScriptedEndpoint(right_grade) as server:
        run(server, journal, policy, 61, endpoint={"requests_per_minute": 2400.0})
        at = [call.at for call in server.calls]
    # 40 a second: 60 gaps take 1.5 s, less the burst of half a second that may go at once.
    # That it takes no longer is in test_throttle.py, where no other process takes its time.
    assert at[-1] - at[0] >= 0.9


def test_tokens_keep_to_the_rate(policy: Policy, journal: Journal) -> None:
    with ScriptedEndpoint(right_grade) as server:
        run(server, journal, policy, 50, endpoint={"tokens_per_minute": 600_000.0})
        at = [call.at for call in server.calls]
    # 49 calls after the first, of 1,050 tokens at 10,000 a second; half a second's may burst.
    assert at[-1] - at[0] >= 4.0


def test_a_call_of_more_tokens_than_a_burst_waits_for_all_of_them(
    policy: Policy, journal: Journal
) -> None:
    """A long policy is the usual case: counted as one burst it would run ten times too fast."""
    with ScriptedEndpoint(lambda call: replace(right_grade(call), usage=(8_000, 0))) as server:
        limits = {"tokens_per_minute": 600_000.0, "concurrency": 2}
        run(server, journal, policy, 7, endpoint=limits)
        at = [call.at for call in server.calls]
    # Two start before anybody knows what a call weighs; the other five are 40,000 tokens at
    # 10,000 a second, of which half a second's may burst.
    assert at[-1] - at[0] >= 3.0


# --- what stops at once -----------------------------------------------------


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(status=401), "accept the key"),
        (Answer(status=403), "accept the key"),
        (Answer(status=404, error_code="model_not_found"), "know the model"),
        (Answer(status=400, error_code="unsupported_parameter"), "answer_format"),
        (Answer(status=429, error_code="insufficient_quota"), "credit"),
    ],
)
def test_what_no_retry_can_mend_costs_one_call(
    answer: Answer, words: str, policy: Policy, journal: Journal
) -> None:
    with ScriptedEndpoint(lambda call: answer) as server:
        with pytest.raises(CookbookError, match=words):
            run(server, journal, policy)
        assert len(server.calls) == 1


def test_an_endpoint_that_is_down_is_named(policy: Policy, journal: Journal) -> None:
    with socket.socket() as held:  # nobody else may listen there in the meantime
        held.bind(("127.0.0.1", 0))
        endpoint = Endpoint(f"http://127.0.0.1:{held.getsockname()[1]}/v1", "m", api_key_env="")
        with pytest.raises(CookbookError, match="nothing answers"):
            label_all(make_requests(3), policy=policy, endpoint=endpoint, journal=journal)


def test_quota_that_ends_in_the_middle_keeps_the_labels(policy: Policy, journal: Journal) -> None:
    def script(call: Call) -> Answer:
        if call.number > 10:
            return Answer(status=429, error_code="insufficient_quota")
        return right_grade(call)

    with ScriptedEndpoint(script) as server:
        with pytest.raises(CookbookError, match="credit"):
            run(server, journal, policy, 50)
        assert len(server.calls) <= 10 + 8
    assert len(journal) == 10


def test_an_answer_from_another_model_stops_the_run(policy: Policy, journal: Journal) -> None:
    def script(call: Call) -> Answer:
        moved = Answer(grade_answer(1), model="scripted-2")
        return moved if call.number == 12 else right_grade(call)

    with ScriptedEndpoint(script) as server, pytest.raises(CookbookError, match="scripted-2"):
        run(server, journal, policy, 50)


def test_a_pinned_model_is_held_to_from_the_first_answer(policy: Policy, journal: Journal) -> None:
    with ScriptedEndpoint(right_grade) as server, pytest.raises(CookbookError, match="dated-1"):
        run(server, journal, policy, endpoint={"pinned_model": "dated-1"})
    assert len(journal) == 0


# --- failures on the way ----------------------------------------------------


@pytest.mark.parametrize("status", [408, 409, 500, 502, 503])
def test_a_server_error_is_tried_again_as_perhaps_billed(
    status: int, policy: Policy, journal: Journal
) -> None:
    with ScriptedEndpoint(once(Answer(status=status))) as server:
        done = run(server, journal, policy, 4)
    assert len(done.judgments) == 4
    assert done.progress.possibly_billed == 4


def test_a_hang_after_billing_counts_as_perhaps_billed(policy: Policy, journal: Journal) -> None:
    hang = Answer(grade_answer(0), then="hang")
    with ScriptedEndpoint(once(hang)) as server:
        # Long enough for the second answer of each on a busy machine.
        done = run(server, journal, policy, 4, endpoint={"timeout_s": 4.0})
        billed_calls = server.billed_calls
    assert done.progress.possibly_billed == 4
    assert billed_calls == 8
    # What hung is charged at the most it can cost, never at nothing.
    assert done.progress.spent_usd >= billed_calls * CALL_USD


@pytest.mark.parametrize("then", ["drop", "drop_mid_body"])
def test_a_dropped_connection_counts_as_perhaps_billed(
    then: str, policy: Policy, journal: Journal
) -> None:
    dropped = Answer(grade_answer(0), then=then)  # type: ignore[arg-type]
    with ScriptedEndpoint(once(dropped)) as server:
        done = run(server, journal, policy, 4)
    assert len(done.judgments) == 4
    assert done.progress.possibly_billed == 4


@pytest.mark.parametrize(
    "body", [b"", b"<html>busy</html>", b'{"choices": []}', b'{"choices": [{"message": 3}]}', b"[]"]
)
def test_a_body_that_is_no_completion_is_tried_again(
    body: bytes, policy: Policy, journal: Journal
) -> None:
    with ScriptedEndpoint(once(Answer(body=body))) as server:
        done = run(server, journal, policy, 4)
    assert len(done.judgments) == 4


def test_a_pair_that_never_gets_through_is_quarantined_after_its_attempts(
    policy: Policy, journal: Journal
) -> None:
    def script(call: Call) -> Answer:
        return Answer(status=500) if "job 3 " in call.pair["document"] else right_grade(call)

    with ScriptedEndpoint(script) as server:
        done = run(server, journal, policy, 8)
        assert sum("job 3 " in call.pair["document"] for call in server.calls) == 3
    assert [(q.pair_id, q.status) for q in done.quarantined] == [("pair-3", Status.UNANSWERED)]


# --- answers that are no labels ---------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        Answer("```json\n" + grade_answer(1) + "\n```"),
        Answer(grade_answer(1)[:-1] + ",}"),
        Answer(grade_answer(1), finish_reason="length"),
        Answer("", refusal="I will not."),
        Answer("", finish_reason="content_filter"),
    ],
)
def test_a_bad_answer_gets_one_repair(bad: Answer, policy: Policy, journal: Journal) -> None:
    with ScriptedEndpoint(once(bad)) as server:
        done = run(server, journal, policy, 4)
        assert sum(call.is_repair for call in server.calls) == 4
    assert {judgment.status for judgment in done.judgments} == {Status.REPAIRED}
    assert [judgment.grade for judgment in done.judgments] == [0, 1, 2, 3]


def test_a_bad_repair_is_quarantined_with_its_raw_text(policy: Policy, journal: Journal) -> None:
    with ScriptedEndpoint(lambda call: Answer(f"grade: {call.attempt}")) as server:
        done = run(server, journal, policy, 4)
        assert len(server.calls) == 8
        again = run(server, journal, policy, 4)
        assert len(server.calls) == 8
    assert {pair.raw_text for pair in done.quarantined} == {"grade: 2"}
    assert {pair.status for pair in done.quarantined} == {Status.MALFORMED}
    assert again.quarantined == done.quarantined


def test_a_refusal_is_no_grade_zero(policy: Policy, journal: Journal) -> None:
    def script(call: Call) -> Answer:
        refused = Answer("", refusal="No.")
        return refused if call.pair["document"].startswith("job 1") else right_grade(call)

    with ScriptedEndpoint(script) as server:
        done = run(server, journal, policy, 10)
    assert len(done.judgments) == 9
    assert done.progress.by_status[Status.REFUSED] == 1


def test_too_large_a_share_in_quarantine_fails_the_run(policy: Policy, journal: Journal) -> None:
    def script(call: Call) -> Answer:
        return Answer("sorry") if call.pair["document"].endswith("3") else right_grade(call)

    with ScriptedEndpoint(script) as server:
        with pytest.raises(CookbookError, match="25 malformed"):
            run(server, journal, policy, 100, max_quarantine_share=0.2)
        kept = run(server, journal, policy, 100, max_quarantine_share=0.25)
    assert len(kept.judgments) == 75


def test_a_hopeless_judge_is_stopped_long_before_the_end(policy: Policy, journal: Journal) -> None:
    with ScriptedEndpoint(lambda call: Answer("???")) as server:
        with pytest.raises(CookbookError, match="in quarantine"):
            run(server, journal, policy, 2000, max_quarantine_share=0.05)
        assert len(server.calls) < 600


def test_json_that_names_python_objects_stays_data(policy: Policy, tmp_path: Path) -> None:
    """Prefect's JSON serializer would rebuild these; the journal must not, nor on resume."""
    answer = json.loads(grade_answer(1))
    answer["reason"] = '{"__class__": "pathlib.PosixPath", "__exc_type__": "SystemExit"}'
    with ScriptedEndpoint(lambda call: Answer(json.dumps(answer))) as server:
        for _ in range(2):
            with Journal(tmp_path / "j") as journal:
                done = run(server, journal, policy, 1)
            assert done.judgments[0].rationale == answer["reason"]


def test_the_grade_is_the_policys_aggregation_with_the_judges_own_kept_beside_it(
    policy: Policy, journal: Journal
) -> None:
    answer = json.loads(grade_answer(3))
    answer["dimensions"][0]["grade"] = 0  # the cap on NEED makes the overall grade 0
    with ScriptedEndpoint(lambda call: Answer(json.dumps(answer))) as server:
        done = run(server, journal, policy, 1)
    assert (done.judgments[0].grade, done.judgments[0].stated_grade) == (0, 3)
    assert done.progress.disagreeing == 1


# --- money ------------------------------------------------------------------


def test_the_budget_is_never_exceeded_by_calls_in_flight(policy: Policy, journal: Journal) -> None:
    with ScriptedEndpoint(lambda call: Answer(grade_answer(1), delay_s=0.01)) as server:
        with pytest.raises(BudgetReachedError):
            run(server, journal, policy, 200, budget_usd=60 * CALL_USD)
        spent = server.billed_calls * CALL_USD
    assert 0.5 * 60 * CALL_USD < spent <= 60 * CALL_USD


def test_a_raised_budget_goes_on_where_the_last_one_ended(policy: Policy, journal: Journal) -> None:
    with ScriptedEndpoint(right_grade) as server:
        with pytest.raises(BudgetReachedError):
            run(server, journal, policy, 100, budget_usd=50 * CALL_USD)
        with pytest.raises(BudgetReachedError):
            run(server, journal, policy, 100, budget_usd=50 * CALL_USD)
        first = len(server.calls)
        done = run(server, journal, policy, 100, budget_usd=1.0)
        assert len(server.calls) == 100
    assert first <= 50
    assert done.progress.reused == first


def test_a_budget_without_a_known_price_is_refused(policy: Policy, journal: Journal) -> None:
    endpoint = Endpoint("https://api.example/v1", "in-house-7b", api_key_env="")
    with pytest.raises(CookbookError, match="state its prices"):
        label_all(
            make_requests(1), policy=policy, endpoint=endpoint, journal=journal, budget_usd=1.0
        )
    assert len(journal) == 0


def test_progress_ends_with_the_runs_own_counts(policy: Policy, journal: Journal) -> None:
    seen: list[tuple[int, float]] = []

    def watch(progress: Progress) -> None:
        seen.append((progress.finished, progress.spent_usd))

    with ScriptedEndpoint(right_grade) as server:
        run(server, journal, policy, 10, on_progress=watch)
    assert [finished for finished, _ in seen] == list(range(1, 11))
    assert seen[-1][1] == pytest.approx(10 * CALL_USD)
