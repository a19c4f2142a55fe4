"""Pairs beyond the first: queries that an LLM writes, and hard negatives of a second round."""

import json
import zlib

from tasks.core.labeling.forgetting import forget_pairs
from tasks.core.tables import read_rows
from tasks.exchange import COVERAGE, WRITTEN
from tasks.exchange import PAIRS as PAIRS_FILE
from tasks.label import label
from tasks.mine_pairs import mine_pairs
from tasks.past_labels import past_labels
from tasks.run import open_run
from tasks.settings import MixSettings
from tasks.synthesize import synthesize
from tasks.write_queries import write_llm_queries
from tests.core.labeling.scripted_endpoint import Answer, Call, ScriptedEndpoint
from tests.job_search_judge import answer_of
from tests.labels.label_place import PAIRS, SYNTHESIS, TINY, Place, grades, paid_answers, plain

NO_MIX = MixSettings()


def two_queries(call: Call) -> Answer:
    """Queries that no other request is answered with, whichever of them came first."""
    number = zlib.crc32(json.dumps(call.pair).encode())
    return Answer(json.dumps({"queries": [f"night work {number}", f"day work {number}"]}))


def test_a_second_round_pays_for_its_new_pairs_alone(
    place: Place, server: ScriptedEndpoint
) -> None:
    first = place.label(server)
    with open_run(place.store, "job_search"):
        past = next(past_labels())
        settings = SYNTHESIS.model_copy(update={"second_round_pairs": 40})
        more = plain(mine_pairs)(
            past.domain, past.input("pairs"), first, None, TINY, settings, NO_MIX
        )
        judge, labels = past.settings
        second = plain(label)(
            past.domain, more, past.input("judge"), past.input("verdict"), TINY, judge, labels
        )
    assert more.counts["mined"] == 40
    assert paid_answers(place.store) == PAIRS + 40
    assert grades(first).items() <= grades(second).items()


def test_a_second_round_asks_an_llm_for_what_no_label_exercises(
    place: Place, server: ScriptedEndpoint
) -> None:
    first = place.label(server)
    holes = first.json(COVERAGE)["holes"]
    unused = {hole.removeprefix("clause ") for hole in holes if hole.startswith("clause ")}
    assert unused, "the first round is small enough to leave holes"
    server.script = two_queries
    server.calls.clear()
    with open_run(place.store, "job_search"):
        past = next(past_labels())
        judge_settings, _ = past.settings
        synthesis = SYNTHESIS.model_copy(
            update={"generated_queries": 5000, "second_round_pairs": 100}
        )
        aimed = plain(write_llm_queries)(
            past.domain,
            past.input("judge"),
            past.input("verdict"),
            TINY,
            judge_settings,
            synthesis,
            first,
        )
        more = plain(mine_pairs)(
            past.domain, past.input("pairs"), first, aimed, TINY, synthesis, NO_MIX
        )
    asked = {call.pair["clause"].split()[0] for call in server.calls}
    assert asked == unused
    assert more.counts["for_holes"] > 0
    new = sum(more.counts[name] for name in ("for_holes", "for_grades", "mined"))
    assert PAIRS < more.counts["pairs"] == PAIRS + new <= PAIRS + 100
    rows = read_rows(more.file(PAIRS_FILE))
    assert len({row["pair_id"] for row in rows}) == len(rows)


def test_an_llm_writes_queries_that_are_labeled_and_can_be_forgotten(
    place: Place, server: ScriptedEndpoint
) -> None:
    def writes(call: Call) -> Answer:
        if "clause" in call.pair:
            return two_queries(call)
        return Answer(some_answer)

    some_answer = answer_of(place.script.any_decision())
    server.script = writes
    place.label(server)
    with open_run(place.store, "job_search"):
        past = next(past_labels())
        judge_settings, _ = past.settings
        judge, verdict = past.input("judge"), past.input("verdict")
        synthesis = SYNTHESIS.model_copy(update={"generated_queries": 30, "max_pairs": 5000})
        written = plain(write_llm_queries)(
            past.domain, judge, verdict, TINY, judge_settings, synthesis
        )
        pairs = plain(synthesize)(past.domain, written, TINY, synthesis, NO_MIX)
    rows = read_rows(written.file(WRITTEN))
    # Six requests of five queries at most, each answered with two.
    assert written.counts == {"queries": 12, "calls": 6, "unusable": 0}
    assert pairs.counts["generated_query"] > 0
    asked = [call for call in server.calls if "clause" in call.pair]
    assert len({call.pair["clause"] for call in asked}) == len(asked)
    journal = place.store / "job_search" / "labels" / "journal.jsonl"
    assert forget_pairs(journal, {rows[0]["pair_id"]}) == 1
