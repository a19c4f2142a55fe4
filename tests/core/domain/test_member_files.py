"""Each file of a domain that holds a member is named, whatever its format."""

import gzip
from pathlib import Path

import pytest

from tasks.core.domain.member_files import files_holding, possible_pairs
from tasks.core.errors import CookbookError
from tasks.core.tables import write_table
from tasks.core.text import pair_id


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
    assert [path.name for path in files_holding(golden, "m1")] == [
        "golden.csv",
        "impressions.csv.gz",
        "impressions.parquet",
        "members-2025.jsonl",
        "members.jsonl.gz",
        "queries.csv",
    ]


def test_an_id_that_begins_alike_is_another_member(golden: Path) -> None:
    assert [path.name for path in files_holding(golden, "m10")] == ["members-2025.jsonl"]
    assert files_holding(golden, "m") == []


def test_golden_data_without_a_column_of_members_hold_none(tmp_path: Path) -> None:
    (tmp_path / "golden.csv").write_text("query_id,query,doc_id,grade\nm1,m1,m1,1\n")
    assert files_holding(tmp_path, "m1") == []


def test_a_file_that_cannot_be_read_is_not_taken_for_one_without_the_member(
    tmp_path: Path,
) -> None:
    (tmp_path / "members.jsonl").write_text('{"member_id": "m2"}\n{"member_id": "m1"')
    with pytest.raises(CookbookError, match=r"members\.jsonl, line 2"):
        files_holding(tmp_path, "m1")


def test_the_members_queries_are_paired_with_every_document(golden: Path) -> None:
    (golden / "queries.csv").write_text("query_id,query,member_id\nq2,a,m1\nq3,a,m10\nq4,a,\n")
    (golden / "documents.jsonl").write_text('{"doc_id": "d"}\n{"doc_id": "e"}\n')
    asked = [("q", "d"), ("q", "e"), ("q2", "d"), ("q2", "e")]
    assert possible_pairs(golden, "m1") == {pair_id(query, "m1", doc) for query, doc in asked}
    assert possible_pairs(golden, "m9") == set()
