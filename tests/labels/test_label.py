"""The label step on job_search: what an edit of the policy bills, what leaves, who is asked."""

import json
from pathlib import Path

import pytest

from flows.cli import main
from tasks.core.domain.corpus import read_documents, read_members
from tasks.core.tables import Row, read_rows
from tasks.exchange import (
    CALLS,
    COVERAGE,
    JUDGMENTS,
    POLICY_EDIT,
    QUARANTINE,
    RUNGS,
    SENT,
    SUSPICIOUS,
)
from tests.core.labeling.scripted_endpoint import Answer, Call, ScriptedEndpoint
from tests.job_search_judge import answer_of
from tests.labels.label_place import NEW_ROW, OLD_ROW, PAIRS, Place, grades, paid_answers


def test_a_one_clause_edit_bills_a_small_share_and_equals_a_full_relabeling(
    place: Place, server: ScriptedEndpoint, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    first = place.label(server)
    assert paid_answers(place.store) == len(grades(first)) == PAIRS
    assert not first.file(POLICY_EDIT).exists()

    place.edit(OLD_ROW, NEW_ROW)
    main(["policy", "affected", str(place.policy), "--store", str(place.store), "--sample", "30"])
    shown = capsys.readouterr().out
    assert paid_answers(place.store) == PAIRS + 30
    assert "changed:  TITLE-5" in shown
    assert "missed:   0 of 30" in shown

    second = place.label(server, missed_change_sample=30)
    edit = second.json(POLICY_EDIT)[server.model]
    billed = paid_answers(place.store) - PAIRS - 30
    assert f"stale:    {edit['stale']} of {PAIRS} labels" in shown
    assert f"relabel:  {edit['stale']} calls" in shown
    # What the command's sample paid for is not paid again.
    assert billed == edit["stale"] <= second.json(CALLS)["billed_calls"]
    assert 0 < edit["stale_share"] < 0.25
    assert edit["missed"]["sampled"] == 30

    other = Place(place.root, tmp_path / "other", place.script)
    full, kept = grades(other.label(server)), grades(second)
    assert paid_answers(other.store) == PAIRS
    assert sum(full[name] == kept[name] for name in full) / PAIRS >= 0.99
    assert sum(full[name] != grades(first)[name] for name in full) > 0


def test_labeling_again_and_going_back_to_the_old_policy_bill_nothing(
    place: Place, server: ScriptedEndpoint
) -> None:
    before = place.label(server)
    place.edit(OLD_ROW, NEW_ROW)
    place.label(server)
    paid = paid_answers(place.store)
    assert place.label(server).reused
    place.edit(NEW_ROW, OLD_ROW)
    assert grades(place.label(server)) == grades(before)
    assert paid_answers(place.store) == paid


MARKERS = {
    "full_name": "Zebulon Quartz",
    "email": "zq@marker-mail.example",
    "phone": "+31 20 555 0199",
    "linkedin": "https://marker-link.example/zq",
    "gender": "marker-gender",
}


def test_nothing_that_tells_who_somebody_is_leaves_the_machine(
    place: Place, server: ScriptedEndpoint, tmp_path: Path
) -> None:
    """Markers are planted in every member and every job: in fields, in groups and in texts."""
    source = place.root / "golden_data"
    folder = tmp_path / "planted" / "job_search"
    original = source / "job_search"
    folder.mkdir(parents=True)
    for name in ("golden.csv", "queries.csv"):
        (folder / name).write_bytes((original / name).read_bytes())
    rows: list[Row]
    for name, read in (("documents", read_documents), ("members", read_members)):
        rows = read(original / f"{name}.jsonl.gz")
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for row in rows:
                planted = row | {
                    "text": f"{row['text']} Ask Zebulon Quartz, or Zebulon, "
                    "at zq@marker-mail.example, +31 20 555 0199 or https://marker-link.example/zq.",
                    "attributes": json.loads(row["attributes"]) | MARKERS | {"pay": "marker-pay"},
                    "groups": {"gender": "marker-group"},
                }
                file.write(json.dumps(planted) + "\n")
    source.unlink()
    source.symlink_to(folder.parent)

    some_answer = answer_of(place.script.any_decision())
    server.script = lambda call: Answer(some_answer)
    labels = place.label(server, judge={"sent_attributes": ("place", "email")})
    assert len(server.calls) > 100
    for call in server.calls:
        sent = json.dumps(call.body) + json.dumps(call.headers)
        for marker in ("Zebulon", "Quartz", "marker-", "555 0199", '"m0', '"j0', '"q0'):
            assert marker not in sent, marker
    fields = labels.json(SENT)
    assert fields["document"]["sent"] == ["place", "text", "title"]
    assert {"full_name", "email", "gender", "pay", "groups"} <= {*fields["document"]["withheld"]}
    assert fields["member"]["sent"] == ["text"]
    assert fields["to"] == [{"address": server.base_url, "model": server.model}]


def test_a_cheap_judge_keeps_what_two_agree_on_and_each_rung_is_accounted_for(
    place: Place, server: ScriptedEndpoint
) -> None:
    def afraid_of_the_top(call: Call) -> Answer:
        answer = json.loads(place.script(call).text)
        for dimension in answer["dimensions"]:
            if dimension["grade"] is not None:
                dimension["grade"] = min(dimension["grade"], 3)
        return Answer(json.dumps(answer))

    with (
        ScriptedEndpoint(place.script, model="cheap-1") as one,
        ScriptedEndpoint(afraid_of_the_top, model="cheap-2") as other,
    ):
        price = {"input_usd": 0.1, "cached_input_usd": 0.1, "output_usd": 0.1}
        cheap = [
            {"kind": "endpoint", "model": s.model, "base_url": s.base_url, "prices": price}
            for s in (one, other)
        ]
        labels = place.label(server, cheap_judges=cheap, audited_pairs=20)
    rungs = labels.json(RUNGS)["rungs"]
    assert [rung["judge"] for rung in rungs] == ["cheap-1", "cheap-2", server.model]
    assert rungs[0]["asked"] == rungs[1]["asked"] == PAIRS
    assert rungs[0]["kept"] + rungs[2]["kept"] == PAIRS
    assert server.call_count >= rungs[2]["asked"] + 20
    assert (rungs[0]["kept_audited"], rungs[0]["same_grade_on_kept"]) == (20, 1.0)
    # 1,050 tokens a call at a dollar a million.
    assert rungs[2]["spent_usd"] == pytest.approx((rungs[2]["asked"] + 20) * 1050e-6, rel=0.05)
    judges = {row["judge"] for row in read_rows(labels.file(JUDGMENTS), ["judge"])}
    assert judges == {"cheap-1", server.model}


def test_coverage_names_what_no_label_exercises(place: Place, server: ScriptedEndpoint) -> None:
    labels = place.label(server)
    coverage = labels.json(COVERAGE)
    cited = {name for row in read_rows(labels.file(JUDGMENTS)) for name in row["clauses"]}
    assert {name for name, count in coverage["clauses"].items() if count} == cited
    assert sum(coverage["grades"].values()) == coverage["pairs"] == PAIRS
    unused = {name for name, count in coverage["clauses"].items() if not count}
    assert unused
    assert {f"clause {name}" for name in unused} <= set(coverage["holes"])
    assert labels.json(SUSPICIOUS)["pairs"] == PAIRS


def test_pairs_without_a_usable_answer_are_kept_with_the_judges_words(
    place: Place, server: ScriptedEndpoint
) -> None:
    def refuses_some(call: Call) -> Answer:
        return Answer("I would rather not.") if call.number % 100 == 0 else place.script(call)

    server.script = refuses_some
    labels = place.label(server, judge={"max_quarantine_share": 0.2, "concurrency": 1})
    rows = read_rows(labels.file(QUARANTINE)) if labels.file(QUARANTINE).exists() else []
    assert len(rows) == labels.counts["quarantined"]
    assert len(rows) + labels.counts["judgments"] == PAIRS
    assert all(row["raw_text"] == "I would rather not." for row in rows)
