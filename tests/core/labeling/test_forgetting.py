"""A member who asks to be forgotten leaves no quotation behind, and the sums still add up."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasks.core.labeling import journal as journal_module
from tasks.core.labeling.client import label_all
from tasks.core.labeling.forgetting import count_unmarked, forget_older, forget_pairs
from tasks.core.labeling.journal import Journal, member_mark, render_line
from tasks.core.labeling.prices import Price
from tasks.core.labeling.replies import Reply
from tasks.core.policy import Policy
from tests.core.labeling.conftest import make_endpoint, make_requests
from tests.core.labeling.scripted_endpoint import Answer, Call, ScriptedEndpoint, grade_answer

PRICE = Price(1.0, 1.0, 1.0)


def quoting(call: Call) -> Answer:
    return Answer(grade_answer(1).replace("quoted", f"said in {call.pair['document']}"))


def test_forgotten_pairs_leave_no_text_but_their_cost(policy: Policy, tmp_path: Path) -> None:
    path = tmp_path / "j"
    with ScriptedEndpoint(quoting) as server:
        endpoint = make_endpoint(server)

        def label() -> int:
            with Journal(path) as journal:
                done = label_all(
                    make_requests(6), policy=policy, endpoint=endpoint, journal=journal, price=PRICE
                )
                return done.progress.calls

        label()
        with Journal(path) as journal:
            spent = journal.spent_usd("")
        assert "job 3 " in path.read_text()
        assert forget_pairs(path, {"pair-3", "pair-5"}) == 2
        assert "job 3 " not in path.read_text()
        assert "job 4 " in path.read_text()
        assert path.stat().st_mode & 0o777 == 0o600
        with Journal(path) as journal:
            assert (journal.spent_usd(""), journal.perhaps_billed_in_crash) == (spent, 0)
        assert label() == 2


def test_a_members_answers_are_found_by_the_member_alone(policy: Policy, tmp_path: Path) -> None:
    """The artifacts that named the pairs may be gone; the id itself is not to be read there."""
    path, owners = tmp_path / "j", ("ana-17", "ben-4", "")
    requests = [
        replace(one, member_id=owners[number % 3]) for number, one in enumerate(make_requests(6))
    ]
    with ScriptedEndpoint(quoting) as server, Journal(path) as journal:
        endpoint = make_endpoint(server)
        label_all(requests, policy=policy, endpoint=endpoint, journal=journal, price=PRICE)
    assert count_unmarked(path) == 0
    assert "ana-17" not in path.read_text()
    assert forget_pairs(path, (), member_id="ana-17") == 2
    said = path.read_text()
    assert [f"job {n} " in said for n in range(6)] == [False, True, True, False, True, True]


def test_the_twin_of_a_forgotten_pair_goes_with_it(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        for key, pair in (("0a", "pair-1 noise"), ("0b", "pair-10 noise")):
            journal.intend(key, pair_id=pair, usd=0.0, run="", billed=True)
            journal.answer(key, Reply(pair, "m", None), usd=0.0, run="")
    assert forget_pairs(tmp_path / "j", {"pair-1"}) == 1


class LongAgo(datetime):
    """The clock of a run a hundred days ago."""

    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
        return datetime.now(UTC) - timedelta(days=100)


def test_old_answers_go_with_their_text_and_their_cost_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "j"
    undated = {"type": "result", "key": "00", "usd": 1.0, "run": "r"}
    path.write_bytes(render_line(undated | {"reply": {"text": "before days were noted"}}))
    assert forget_older(path, days=1) == 0  # nothing tells yet how old it is
    for key, clock in (("0a", LongAgo), ("0b", datetime)):
        monkeypatch.setattr(journal_module, "datetime", clock)
        with Journal(path) as journal:
            journal.answer(key, Reply(f"answer {key}", "m", None), usd=1.0, run="r")
    with Journal(path) as journal:
        # An edit of the policy makes no answer younger.
        journal.carry("0a", "0c", run="r", member=member_mark("m1"))
    assert forget_older(path, days=101) == 0
    assert forget_older(path, days=99) == 3
    text = path.read_text()
    assert "answer 0b" in text
    assert "answer 0a" not in text and "before days" not in text
    with Journal(path) as journal:
        assert (len(journal), journal.spent_usd("r")) == (1, 3.0)
