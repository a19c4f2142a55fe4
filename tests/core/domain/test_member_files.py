"""Each file of a domain that holds a member is named, whatever its format."""

import gzip
from pathlib import Path

import pytest

from tasks.core.domain.corpus import read_queries
from tasks.core.domain.impressions import read_impressions
from tasks.core.domain.member_files import files_holding, possible_pairs
from tasks.core.tables import write_table
from tasks.core.text import pair_id


def fail(told: str) -> None:
    raise AssertionError(told)


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    """m1 stands in each file that holds members, m10 in one alone."""
    (tmp_path / "golden.csv").write_text("query_id,query,doc_id,grade,member_id\nq,a,d,1,m1\n")
    (tmp_path / "queries.csv").write_text('query_id,query,member_id\nq,"a, b",m1\n')
    (tmp_path / "members.jsonl.gz").write_bytes(gzip.compress(b'{"member_id": "m1"}\n'))
    (tmp_path / "members-2025.jsonl").write_text('{"member_id": "m10"}\n{"member_id": "m1"}\n')
    (tmp_path / "impressions.csv.gz").write_bytes(gzip.compress(b"member_id,x\nm1,1\n"))
    write_table(tmp_path / "impressions.parquet", {"member_id": ["m1"]})
    (tmp_path / "documents.jsonl").write_text('{"doc_id": "m1"}\n')
    (tmp_path / "members.md").write_text("m1")
    return tmp_path


def test_each_file_with_a_row_of_the_member_is_named(golden: Path) -> None:
    assert [path.name for path in files_holding(golden, "m1", fail)] == [
        "golden.csv",
        "impressions.csv.gz",
        "impressions.parquet",
        "members-2025.jsonl",
        "members.jsonl.gz",
        "queries.csv",
    ]


def test_an_id_that_begins_alike_is_another_member(golden: Path) -> None:
    assert [path.name for path in files_holding(golden, "m10", fail)] == ["members-2025.jsonl"]
    assert files_holding(golden, "m", fail) == []


def test_golden_data_without_a_column_of_members_hold_none(tmp_path: Path) -> None:
    (tmp_path / "golden.csv").write_text("query_id,query,doc_id,grade\nm1,m1,m1,1\n")
    assert files_holding(tmp_path, "m1", fail) == []


@pytest.mark.parametrize("ids", [[17, 18], [17.0, None], [b"17", b"18"], ["17", "18"]])
def test_a_log_whose_ids_are_no_texts_holds_whom_a_run_reads_from_it(
    tmp_path: Path, ids: list[object]
) -> None:
    log = tmp_path / "impressions.parquet"
    columns = {name: ["a", "b"] for name in ("impression_id", "query_id", "query", "doc_id")}
    flags = {name: [1, 1] for name in ("position", "shown_at_random", "clicked")}
    times = {"timestamp": ["2026-01-05T00:00:00Z"] * 2}
    write_table(log, {**columns, **flags, **times, "member_id": ids})
    assert read_impressions(log)["member_id"].to_pylist()[0] == "17"
    assert files_holding(tmp_path, "17", fail) == [log]
    assert files_holding(tmp_path, "1", fail) == []
    assert possible_pairs(tmp_path, "17", fail) == set()
    write_table(tmp_path / "documents.parquet", {"doc_id": ["d"]})
    assert possible_pairs(tmp_path, "17", fail) == {pair_id("a", "17", "d")}


def test_spaces_around_an_id_are_none_of_it(tmp_path: Path) -> None:
    """Runs read queries and golden grades without them."""
    queries = tmp_path / "queries.csv"
    queries.write_text("query_id,query,member_id\nq,a, m1 \n")
    assert read_queries(queries)[0]["member_id"] == "m1"
    assert files_holding(tmp_path, "m1", fail) == [queries]


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_looked_at(golden: Path) -> None:
    """One old copy would stop the whole command."""
    (golden / "members-2024.jsonl").write_text('{"member_id": "m2"}\n{"member_id": "m1"')
    (golden / "impressions-old.parquet").write_text("none")
    (golden / "queries-old.csv").write_bytes(b"query_id,query,member_id\nq,caf\xe9,m1\n")
    told: list[str] = []
    assert len(files_holding(golden, "m1", told.append)) == 6
    assert [line.split()[0] for line in told] == [
        str(golden / name)
        for name in ("impressions-old.parquet", "members-2024.jsonl", "queries-old.csv")
    ]
    assert "members-2024.jsonl, line 2" in told[1]


def test_copies_in_folders_are_found(golden: Path) -> None:
    for name in ("old/2025/members.jsonl", "impressions-2025/part-0.jsonl", "old/documents.jsonl"):
        (golden / name).parent.mkdir(parents=True, exist_ok=True)
        (golden / name).write_text('{"member_id": "m10", "doc_id": "m10"}\n')
    found = [str(path.relative_to(golden)) for path in files_holding(golden, "m10", fail)]
    assert found == [
        "impressions-2025/part-0.jsonl",
        "members-2025.jsonl",
        "old/2025/members.jsonl",
    ]


def test_documents_that_cannot_be_read_are_named(golden: Path) -> None:
    (golden / "documents-old.jsonl").write_text('{"doc_id"')
    told: list[str] = []
    assert possible_pairs(golden, "m1", told.append) == {pair_id("q", "m1", d) for d in ("m1",)}
    assert len(told) == 1 and "documents-old.jsonl" in told[0]


def test_the_members_queries_are_paired_with_every_document(golden: Path) -> None:
    (golden / "queries.csv").write_text("query_id,query,member_id\nq2,a,m1\nq3,a,m10\nq4,a,\n")
    (golden / "documents.jsonl").write_text('{"doc_id": "d"}\n{"doc_id": "e"}\n')
    asked = [("q", "d"), ("q", "e"), ("q2", "d"), ("q2", "e")]
    assert possible_pairs(golden, "m1", fail) == {pair_id(query, "m1", doc) for query, doc in asked}
    assert possible_pairs(golden, "m9", fail) == set()
