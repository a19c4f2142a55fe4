"""Guards documents, members and traffic: each row whole, each id once."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.domain.corpus import (
    MAX_TEXT_CHARACTERS,
    read_documents,
    read_members,
    read_queries,
)
from tasks.core.errors import CookbookError
from tasks.core.tables import columns_of, write_table

DOCUMENT = {"doc_id": "d1", "title": "Nurse", "text": "Night shifts", "attributes": {"k": ["a"]}}


def _documents(folder, *rows):
    path = folder / "documents.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_documents(path)


def test_attributes_and_groups_come_as_json(tmp_path):
    assert _documents(tmp_path, DOCUMENT) == [
        {
            "doc_id": "d1",
            "title": "Nurse",
            "text": "Night shifts",
            "attributes": '{"k": ["a"]}',
            "groups": "{}",
        }
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"doc_id": 7}, "line 1: doc_id must be text; came int. Add it, in double quotes"),
        ({"doc_id": ""}, "each row has a doc_id of its own, on one line; came ''"),
        ({"doc_id": "a\nb"}, "on one line"),
        ({"title": None}, "title must be text; came nothing"),
        ({"text": ["a"]}, "text must be text; came list"),
        ({"attributes": [1]}, "attributes must be a JSON object; came list"),
        ({"attributes": 3.5}, "attributes must be a JSON object; came float"),
        ({"groups": "{broken"}, "line 1, groups: a line holds one JSON object"),
    ],
)
def test_a_field_of_the_wrong_type_is_named_with_its_line(tmp_path, change, says):
    with pytest.raises(CookbookError) as caught:
        _documents(tmp_path, DOCUMENT | change)
    assert says in str(caught.value)


def test_a_missing_field_is_named(tmp_path):
    with pytest.raises(CookbookError, match="line 1: title must be text; came nothing"):
        _documents(tmp_path, {"doc_id": "d1", "text": "x"})


def test_a_document_that_stands_twice_is_refused(tmp_path):
    with pytest.raises(CookbookError, match="line 2: each row has a doc_id of its own.*'d1'"):
        _documents(tmp_path, DOCUMENT, DOCUMENT | {"title": "Other"})


def test_an_empty_file_is_refused(tmp_path):
    with pytest.raises(CookbookError, match="needs at least one row, and is empty"):
        _documents(tmp_path)


def test_texts_are_cut_at_their_limit(tmp_path):
    (row,) = _documents(tmp_path, DOCUMENT | {"text": "x" * (MAX_TEXT_CHARACTERS + 1)})
    assert len(row["text"]) == MAX_TEXT_CHARACTERS


def test_parquet_documents_may_hold_dates_and_structures(tmp_path):
    table = pa.table(
        {
            "doc_id": ["d1"],
            "title": ["Nurse"],
            "text": ["x"],
            "attributes": [{"since": pa.scalar(0, pa.date32()).as_py(), "kind": "a"}],
            "groups": ['{"size": "small"}'],
        }
    )
    pq.write_table(table, tmp_path / "documents.parquet")
    (row,) = read_documents(tmp_path / "documents.parquet")
    assert json.loads(row["attributes"]) == {"since": "1970-01-01", "kind": "a"}
    assert json.loads(row["groups"]) == {"size": "small"}


def test_members_need_no_title(tmp_path):
    path = tmp_path / "members.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"member_id": "m1", "text": "A nurse"}\n'))
    assert read_members(path)[0]["member_id"] == "m1"


def test_traffic_without_words_is_left_out(tmp_path):
    path = tmp_path / "queries.csv"
    path.write_text("query_id,query,member_id\nq1,nurse, m1 \nq2,  ,m2\nq3,chef,\n")
    assert read_queries(path) == [
        {"query_id": "q1", "query": "nurse", "member_id": "m1"},
        {"query_id": "q3", "query": "chef", "member_id": ""},
    ]


def test_one_query_id_is_one_query(tmp_path):
    """A pair's id is made of it: the second query's pairs were dropped as copies of the first's."""
    path = tmp_path / "queries.csv"
    path.write_text("query_id,query\n1,garden hose\n2,pot\n1,red rake\n")
    with pytest.raises(CookbookError) as caught:
        read_queries(path)
    for part in (
        f"{path}, line 4",
        "'1'",
        "'red rake'",
        "'garden hose'",
        f"{path}, line 2",
        "Give",
    ):
        assert part in str(caught.value)
    path.write_text("query_id,query\n1,garden hose\n1,Garden  Hose\n")
    assert len(read_queries(path)) == 2


def test_traffic_without_a_query_id_is_refused(tmp_path):
    path = tmp_path / "queries.csv"
    path.write_text("query_id,query\n1,garden hose\n ,blue pot\n")
    with pytest.raises(CookbookError, match="line 3: query_id must not be empty. Fill it in"):
        read_queries(path)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)


@settings(max_examples=150)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {},
            optional=dict.fromkeys(("doc_id", "title", "text", "attributes", "groups"), _VALUES),
        ),
        max_size=3,
    )
)
def test_whatever_is_read_can_be_stored(tmp_path, rows):
    try:
        documents = _documents(tmp_path, *rows)
    except CookbookError:
        return
    assert write_table(tmp_path / "documents.parquet", columns_of(documents)) == len(rows)
