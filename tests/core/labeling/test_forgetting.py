"""A member who asks to be forgotten leaves no quotation behind, and the sums still add up."""

from pathlib import Path

from tasks.core.labeling.client import label_all
from tasks.core.labeling.forgetting import forget_pairs
from tasks.core.labeling.journal import Journal
from tasks.core.labeling.prices import Price
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
