"""An edit of the policy bills the labels that it touches, and no others."""

import csv
import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks.core.decision_tables import decide
from tasks.core.labeling.carry_over import Fate, PolicyEdit, carry_over
from tasks.core.labeling.journal import Journal
from tasks.core.labeling.judge import Judge
from tasks.core.labeling.prompts import LabelRequest
from tasks.core.policy import Policy, parse_policy, parse_policy_text
from tests.core.labeling.conftest import POLICY_TEXT, make_endpoint, make_requests
from tests.core.labeling.scripted_endpoint import Answer, Call, ScriptedEndpoint, grade_answer

ROOT = Path(__file__).parents[3]
PAIRS = 300


def worth(call: Call) -> int:
    return int(call.pair["document"].split()[-1])


def cites_by_grade(call: Call) -> Answer:
    """NEED-2 decides the pairs of grade 0, NEED-1 all others."""
    clause = "NEED-1" if worth(call) else "NEED-2"
    return Answer(grade_answer(worth(call), clauses=(clause, "PLACE-1")))


@contextmanager
def judge_at(script: Callable[[Call], Answer], policy: Policy, path: Path) -> Iterator[Judge]:
    with ScriptedEndpoint(script) as server, Journal(path) as journal:
        yield Judge(policy, make_endpoint(server), journal)


def edited(old: str, new: str) -> Policy:
    assert old in POLICY_TEXT
    return parse_policy_text(POLICY_TEXT.replace(old, new), "policy.md")


def test_only_labels_that_cite_a_changed_clause_are_billed_again(
    policy: Policy, tmp_path: Path
) -> None:
    new_policy = edited("without being one gets 0", "without being one gets nothing")
    requests = make_requests(40)
    with judge_at(cites_by_grade, policy, tmp_path / "j") as judge:
        judge.label(requests)
        edit = PolicyEdit.between(judge, new_policy)
        assert edit.changed_clauses == ("NEED-2",)
        for request in requests:
            is_stale = "worth 0" in request.document_text
            assert edit.fate(request) is (Fate.STALE if is_stale else Fate.KEPT)
        done = carry_over(edit, requests, sampled=0)
        assert (done.stale_share, done.carried) == (0.25, 30)
        again = edit.new.label(requests)
    assert (again.progress.calls, again.progress.reused) == (10, 30)
    assert {judgment.policy_hash for judgment in again.judgments} == {new_policy.digest}


def test_new_weights_cost_nothing_and_count_at_once(policy: Policy, tmp_path: Path) -> None:
    def uneven(call: Call) -> Answer:
        answer = json.loads(grade_answer(3))
        answer["dimensions"][1]["grade"] = 0
        answer["grade"] = 2
        return Answer(json.dumps(answer))

    new_policy = edited("weight: 0.75", "weight: 0.25")
    new_policy = parse_policy_text(
        new_policy.text.replace("title: Place, weight: 0.25", "title: Place, weight: 0.75"),
        "policy.md",
    )
    requests = make_requests(8)
    with judge_at(uneven, policy, tmp_path / "j") as judge:
        # 3 * 0.75 + 0 * 0.25 = 2.25, so 2; with the weights swapped 0.75, so 1.
        assert {label.grade for label in judge.label(requests).judgments} == {2}
        edit = PolicyEdit.between(judge, new_policy)
        done = carry_over(edit, requests, sampled=0)
        again = edit.new.label(requests)
    assert (done.stale, again.progress.calls) == (0, 0)
    assert {label.grade for label in again.judgments} == {1}


def test_a_new_meaning_of_a_grade_makes_all_labels_stale(policy: Policy, tmp_path: Path) -> None:
    requests = make_requests(8)
    with judge_at(cites_by_grade, policy, tmp_path / "j") as judge:
        judge.label(requests)
        edit = PolicyEdit.between(judge, edited("Of some use.", "Of much use."))
        assert {edit.fate(request) for request in requests} == {Fate.STALE}


def test_a_label_that_cites_nothing_rests_on_anything(policy: Policy, tmp_path: Path) -> None:
    requests = make_requests(8)
    new_policy = edited("without being one gets 0", "without being one gets nothing")
    silent = lambda call: Answer(grade_answer(worth(call), clauses=()))  # noqa: E731
    with judge_at(silent, policy, tmp_path / "j") as judge:
        judge.label(requests)
        edit = PolicyEdit.between(judge, new_policy)
        assert {edit.fate(request) for request in requests} == {Fate.STALE}


def test_a_removed_clause_makes_its_labels_stale(policy: Policy, tmp_path: Path) -> None:
    requests = make_requests(8)
    start = POLICY_TEXT.index("### NEED-2")
    without = POLICY_TEXT[:start] + POLICY_TEXT[POLICY_TEXT.index("### PLACE-1") :]
    with judge_at(cites_by_grade, policy, tmp_path / "j") as judge:
        judge.label(requests)
        edit = PolicyEdit.between(judge, parse_policy_text(without, "policy.md"))
        assert [edit.fate(request) for request in requests].count(Fate.STALE) == 2


def test_pairs_without_a_label_are_told_apart(policy: Policy, tmp_path: Path) -> None:
    new_policy = edited("Grade the way to work.", "Grade the way to work and back.")
    with judge_at(cites_by_grade, policy, tmp_path / "j") as judge:
        judge.label(make_requests(4))
        done = carry_over(PolicyEdit.between(judge, new_policy), make_requests(6), sampled=0)
    assert (done.kept, done.stale, done.unlabeled) == (0, 4, 2)


def test_a_policy_that_comes_back_finds_its_labels(policy: Policy, tmp_path: Path) -> None:
    requests = make_requests(8)
    with judge_at(cites_by_grade, policy, tmp_path / "j") as judge:
        judge.label(requests)
        edit = PolicyEdit.between(judge, edited("Of some use.", "Of much use."))
        edit.new.label(requests)
        back = carry_over(PolicyEdit.between(edit.new, policy), requests, sampled=0)
        assert back.carried == 0
        assert judge.label(requests).progress.calls == 0


def test_carrying_over_again_costs_nothing_and_measures_the_same(
    policy: Policy, tmp_path: Path
) -> None:
    """As after a crash: the sample was asked, labels were carried, and all is begun anew."""
    new_policy = edited("without being one gets 0", "without being one gets nothing")
    requests = make_requests(40)
    with judge_at(cites_by_grade, policy, tmp_path / "j") as judge:
        judge.label(requests)
        edit = PolicyEdit.between(judge, new_policy)
        first = carry_over(edit, requests, sampled=10)
        calls = len(list(judge.journal.records()))
        again = carry_over(edit, requests, sampled=10)
        assert len(list(judge.journal.records())) == calls
    assert (first.carried, again.carried) == (20, 0)
    assert (first.missed.calls, again.missed.calls) == (10, 0)
    assert (again.stale, again.missed.changed) == (first.stale, first.missed.changed)


def test_missed_changes_are_measured_on_a_sample(policy: Policy, tmp_path: Path) -> None:
    """The new wording of NEED-2 also changes what pairs of grade 1 get, which nobody cited."""

    def script(call: Call) -> Answer:
        moved = "counts for nothing" in call.messages[0]["content"] and worth(call) == 1
        return Answer(grade_answer(0 if moved else worth(call), clauses=("NEED-1",)))

    new_policy = edited("without being one gets 0", "without being one counts for nothing")
    requests = make_requests(80)
    with judge_at(script, policy, tmp_path / "j") as judge:
        judge.label(requests)
        edit = PolicyEdit.between(judge, new_policy)
        missed = carry_over(edit, requests, sampled=40).missed
        again = edit.new.label(requests)
    assert missed.sampled == 40
    assert missed.rate is not None
    # What the sample paid for is not paid again, and is the label.
    assert again.progress.calls == 0
    # A quarter of the pairs is worth 1.
    assert missed.rate.low < 0.25 < missed.rate.high
    assert missed.changed == round(40 * missed.rate.value)


def test_a_sample_without_a_missed_change_does_not_say_that_there_is_none(
    policy: Policy, tmp_path: Path
) -> None:
    def script(call: Call) -> Answer:
        return Answer(grade_answer(worth(call), clauses=("NEED-1",)))

    requests = make_requests(50)
    with judge_at(script, policy, tmp_path / "j") as judge:
        judge.label(requests)
        edit = PolicyEdit.between(judge, edited("without being one gets 0", "gets nothing"))
        missed = carry_over(edit, requests, sampled=40).missed
    assert (missed.sampled, missed.changed) == (40, 0)
    assert missed.rate is not None
    assert missed.rate.low == 0 < 0.05 < missed.rate.high


# --- on the shipped domain --------------------------------------------------


Facts = dict[str, str | int | float | bool]


def true_facts(policy: Policy, pairs: int = PAIRS) -> dict[str, Facts]:
    """The simulator's facts of each pair, with the types that the policy gives them."""
    kinds = {fact.name: fact.kind for fact in policy.facts}
    read: dict[str, Callable[[str], str | int | float | bool]] = {
        "word": str,
        "integer": lambda text: int(float(text)),
        "number": float,
        "flag": lambda text: text.lower() in ("1", "true"),
    }
    with gzip.open(ROOT / "golden_data/job_search/truth/facts.csv.gz", "rt") as lines:
        rows = list(csv.DictReader(lines))[:pairs]
    return {
        f"pair {number}": {name: read[kinds[name]](row[name]) for name in kinds}
        for number, row in enumerate(rows)
    }


@pytest.mark.parametrize(
    ("clause_text", "new_text"),
    [
        (
            "| title.relation = generalization | grade 2 |",
            "| title.relation = generalization | grade 1 |",
        ),
        (
            "| title.relation = same_family | grade 1 |",
            "| title.relation = same_family | grade 0 |",
        ),
    ],
)
def test_on_job_search_a_one_clause_edit_relabels_few_and_equals_a_full_relabeling(
    clause_text: str, new_text: str, tmp_path: Path
) -> None:
    path = ROOT / "policy/job_search/policy.md"
    policy = parse_policy(path)
    assert clause_text in policy.text
    new_policy = parse_policy_text(policy.text.replace(clause_text, new_text), "policy.md")
    facts = true_facts(policy)

    def by_decision_tables(call: Call) -> Answer:
        is_new = new_text in call.messages[0]["content"]
        decision = decide(new_policy if is_new else policy, facts[call.pair["document"]])
        dimensions = [
            {"id": name, "evidence": "", "grade": grade}
            for name, grade in decision.dimension_grades.items()
        ]
        return Answer(
            json.dumps(
                {
                    "dimensions": dimensions,
                    "clauses": list(decision.clauses),
                    "grade": decision.grade,
                    "reason": "",
                }
            )
        )

    requests = [LabelRequest(name, "q", "", name) for name in facts]
    with judge_at(by_decision_tables, policy, tmp_path / "j") as judge:
        judge.label(requests)
        edit = PolicyEdit.between(judge, new_policy)
        done = carry_over(edit, requests, sampled=0)
        again = edit.new.label(requests)
    full = [decide(new_policy, facts[name]).grade for name in facts]
    equal = sum(a.grade == b for a, b in zip(again.judgments, full, strict=True))
    assert again.progress.calls == done.stale
    assert 0 < done.stale_share < 0.25
    assert equal / PAIRS >= 0.99
