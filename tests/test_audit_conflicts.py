"""The audit of conflicts: by kind of query, source and group, and between every two teachers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.audit_conflicts import audit_conflicts
from tasks.core.domain.catalog import DOCUMENTS, MEMBERS
from tasks.core.tables import columns_of, write_table
from tasks.exchange import CONFLICTS, JUDGMENTS, PEOPLE, POLICY, TRANSFER, Domain
from tasks.run import open_run
from tests.test_distill import made

PROJECT = Path(__file__).resolve().parents[1]
MEMBER_ROWS = [
    {"member_id": "m0", "text": "surgeon", "attributes": "{}", "groups": '{"branch": "care"}'},
    {"member_id": "m1", "text": "nurse", "attributes": "{}", "groups": '{"branch": null}'},
    {"member_id": "m2", "text": "asks nothing", "attributes": "{}", "groups": '{"branch": "law"}'},
]
# Who asks the one query, pair by pair; the last two pairs are asked by nobody known.
ASKED_BY = {"a": "m0", "b": "m0", "c": "m1", "d": "m1", "e": "", "f": ""}
UP = np.arange(6.0)
# By teacher: what it says of the pairs a to f of one query; words order each member's alike.
SAID = {"policy": UP, "click": -UP, "words": UP[[4, 5, 2, 3, 0, 1]], "older": -UP}
GOALS = {"policy": "grades", "click": "actions", "words": "actions", "older": "grades"}
JUDGED = [{"pair_id": "a", "source": "generated_query", "clauses": ["TITLE-1"], "use": "train"}]
BY_PEOPLE = [{"pair_id": name, "grade": 1, "weight": 3.0, "use": "train"} for name in ("a", "b")]


def write_catalog(folder: Path) -> None:
    rows = [
        {"doc_id": f"d{number}", "title": "nurse", "text": "", "attributes": "{}"}
        | {"groups": json.dumps({"place": "oslo" if number < 2 else "lima"})}
        for number in range(6)
    ]
    write_table(folder / DOCUMENTS, columns_of(rows))
    write_table(folder / MEMBERS, columns_of(MEMBER_ROWS))


def write_transfer(folder: Path) -> None:
    rows = [
        {
            "pair_id": name,
            "query_id": "q0",
            "query": "nurse",
            "member_id": member,
            "doc_id": f"d{number}",
        }
        | {"bm25": float(number), "cosine": float(number)}
        for number, (name, member) in enumerate(ASKED_BY.items())
    ]
    write_table(folder / TRANSFER, columns_of(rows))


def labels_of(name: str) -> Any:
    """Soft labels with five grades and an action; the half that a teacher was not taught lies."""
    said = SAID[name][:, None].astype(np.float32)
    by_grade, clicked = 0.1 * said * np.arange(5, dtype=np.float32), said
    if GOALS[name] == "grades":
        clicked = -clicked
    else:
        by_grade = np.full_like(by_grade, np.nan)
    logits = np.concatenate([by_grade, clicked], axis=1)
    columns = {"pair_id": list("abcdef"), "logits": list(logits)}
    return lambda out: write_table(out / "shard-00000.parquet", columns)


def audited(store: Path, *names: str) -> dict[str, Any] | None:
    step: Any = audit_conflicts
    policy = (PROJECT / "policy/job_search/policy.md").read_text()
    with open_run(store, "toy"):
        domain = Domain(
            made("policy", lambda out: (out / POLICY).write_text(policy) and None),
            *(made("catalog", write_catalog),) * 2,
            *(None, None, None),
        )
        judged = made("judgments", lambda out: write_table(out / JUDGMENTS, columns_of(JUDGED)))
        people = made("people", lambda out: write_table(out / PEOPLE, columns_of(BY_PEOPLE)))
        transfer = made("transfer_set", write_transfer)
        labels = {name: made(f"labels_{name}", labels_of(name)) for name in names}
        found = step.fn(domain, judged, people, transfer, labels | {"none": None}, GOALS)
    return None if found is None else found.json(CONFLICTS)


def pairs_by(found: dict[str, Any] | None) -> dict[str, dict[str, int]]:
    """How many pairs each value of each column has."""
    assert found is not None
    by: dict[str, dict[str, int]] = {}
    for one in found["by"]:
        by.setdefault(one["by"], {})[one["value"]] = one["pairs"]
    return by


def test_pairs_that_people_alone_graded_are_not_taken_for_impressions(tmp_path: Path) -> None:
    by = pairs_by(audited(tmp_path, "policy", "click"))
    assert by["pair source"] == {
        "generated_query": 1,  # the judge saw it too
        "graded by people": 1,
        "shown": 4,
    }
    assert by["clause"] == {"TITLE-1": 1}


def test_a_querys_kind_is_of_its_words_and_of_who_asks_whatever_the_pairs_source(
    tmp_path: Path,
) -> None:
    """One query_id that several members ask is of another kind for each."""
    by = pairs_by(audited(tmp_path, "policy", "click"))
    assert by["query kind"] == {"title, aspirational": 2, "title, existing": 2, "title": 2}


def test_groups_of_documents_and_of_who_asks_are_told_apart(tmp_path: Path) -> None:
    """A null states no group, and a group whose members ask nothing has no pairs."""
    by = pairs_by(audited(tmp_path, "policy", "click"))
    groups = {name: values for name, values in by.items() if name.startswith("group ")}
    assert groups == {"group place": {"oslo": 2, "lima": 4}, "group member branch": {"care": 2}}


def test_every_two_teachers_are_compared_by_what_they_were_taught(tmp_path: Path) -> None:
    """On what one member was offered: candidates of two who ask the same are not compared."""
    found = audited(tmp_path, "policy", "click", "words", "older")
    assert found is not None
    apart = {frozenset(one["teachers"]): one["disagreement"] for one in found["between"]}
    said = {name: values[1::2] > values[::2] for name, values in (SAID | {"retrieval": UP}).items()}
    assert len(apart) == 10
    for pair, share in apart.items():
        one, other = pair
        assert share == pytest.approx(float(not np.array_equal(said[one], said[other]))), pair
    assert found["teachers"] == ["policy", "click"]
    assert found["disagreement"] == 1.0


def test_without_clicks_there_is_no_audit(tmp_path: Path) -> None:
    assert audited(tmp_path, "policy", "words") is None
