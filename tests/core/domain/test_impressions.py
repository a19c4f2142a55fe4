"""Guards the click log: no row that a propensity or a click rate would silently misread."""

import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.domain.impressions import (
    REQUIRED,
    actions_of,
    check_documents,
    read_impressions,
)
from tasks.core.errors import CookbookError

HEADER = ",".join((*REQUIRED, "applied"))
VALUES = "i1,q1,nurse,m1,d1,1,0,1,2026-01-31T08:00:00Z,0"
ROW = dict(zip(HEADER.split(","), VALUES.split(","), strict=True))


def _read(folder, *rows, header=HEADER, name="impressions.csv"):
    path = folder / name
    path.write_bytes("\n".join((header, *(",".join(row.values()) for row in rows), "")).encode())
    return read_impressions(path)


def test_a_log_is_read_with_its_actions_and_seconds(tmp_path):
    table = _read(tmp_path, ROW)
    assert actions_of(table) == ("clicked", "applied")
    # 2026-01-31 is day 20484 since 1970: 56 years of 365 days, 14 leap days, 30 days.
    assert table["timestamp"].to_pylist() == [20_484 * 86_400 + 8 * 3600]


def test_a_time_zone_is_heeded_and_a_bare_time_is_utc(tmp_path):
    stamps = ("2026-01-31T09:00:00+01:00", "2026-01-31T08:00:00", "2026-01-31 08:00:00Z")
    table = _read(tmp_path, *(ROW | {"timestamp": stamp} for stamp in stamps))
    assert len(set(table["timestamp"].to_pylist())) == 1


def test_ids_that_look_like_numbers_stay_text(tmp_path):
    table = _read(tmp_path, ROW | {"doc_id": "007", "query_id": "1.0"})
    assert table["doc_id"].to_pylist() == ["007"]
    assert table["query_id"].to_pylist() == ["1.0"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"position": "0"}, "position holds whole numbers from 1 to 100000"),
        ({"position": "-3"}, "position holds whole numbers from 1"),
        ({"position": "1.5"}, "position holds whole numbers"),
        ({"position": ""}, "position holds whole numbers from 1 to 100000, none missing"),
        ({"position": "99999999999"}, "position holds whole numbers"),
        ({"clicked": "2"}, "clicked holds whole numbers from 0 to 1"),
        ({"clicked": "yes"}, "clicked holds whole numbers from 0 to 1"),
        ({"applied": "-1"}, "applied holds whole numbers from 0 to 1"),
        ({"applied": "nan"}, "applied holds whole numbers from 0 to 1"),
        ({"shown_at_random": "3"}, "shown_at_random holds whole numbers from 0 to 1"),
        ({"timestamp": "yesterday"}, "timestamp is ISO 8601 in UTC, such as 2026-01-31"),
        ({"timestamp": "31.01.2026"}, "timestamp is ISO 8601"),
        ({"timestamp": ""}, "timestamp is ISO 8601"),
        ({"query_id": ""}, "query_id stands in every row; some rows have none"),
        ({"doc_id": ""}, "doc_id stands in every row"),
        ({"impression_id": ""}, "impression_id stands in every row"),
        ({"query": "a,b"}, "must be CSV in UTF-8 with a header, or Parquet; it cannot be read"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_column(tmp_path, change, says):
    with pytest.raises(CookbookError) as caught:
        _read(tmp_path, ROW, ROW | change)
    assert says in str(caught.value)
    assert "impressions.csv" in str(caught.value)


def test_nobody_in_particular_may_ask(tmp_path):
    assert _read(tmp_path, ROW | {"member_id": ""})["member_id"].to_pylist() == [""]


@pytest.mark.parametrize("column", REQUIRED)
def test_a_missing_column_is_named(tmp_path, column):
    header = ",".join("other" if name == column else name for name in HEADER.split(","))
    with pytest.raises(CookbookError, match=f"; {column} is missing"):
        _read(tmp_path, ROW, header=header)


def test_a_wrong_delimiter_is_told_as_missing_columns(tmp_path):
    path = tmp_path / "impressions.csv"
    path.write_text(HEADER.replace(",", ";") + "\n" + ";".join(ROW.values()) + "\n")
    with pytest.raises(CookbookError, match="needs the columns impression_id"):
        read_impressions(path)


@pytest.mark.parametrize("column", ["clicked", "weight", "grade", "Saved it", ""])
def test_a_column_that_cannot_name_an_action_is_refused(tmp_path, column):
    with pytest.raises(CookbookError, match="every column beyond the required ones is an action"):
        _read(tmp_path, ROW, header=HEADER.replace("applied", column))


def test_a_log_without_rows_is_refused(tmp_path):
    with pytest.raises(CookbookError, match="a header and no rows. Remove it"):
        _read(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("impressions.csv", b""),
        ("impressions.csv", HEADER.encode() + b"\n" + b",".join([b"\xff"] * 10)),
        ("impressions.csv.gz", b"no gzip"),
        ("impressions.csv.gz", gzip.compress(HEADER.encode() * 1000)[:-20]),
        ("impressions.parquet", b"no parquet"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CookbookError, match="it cannot be read .*Write it again"):
        read_impressions(path)


def test_one_query_id_of_a_log_is_one_query(tmp_path):
    rows = [ROW, ROW | {"query": "NURSE "}, ROW | {"query_id": "q2", "query": "chef"}]
    assert _read(tmp_path, *rows).num_rows == 3
    with pytest.raises(CookbookError) as caught:
        _read(tmp_path, *rows, ROW | {"query": "night nurse"})
    for part in ("impressions.csv", "'q1'", "'nurse'", "'night nurse'", "Give one of them"):
        assert part in str(caught.value)


def test_parquet_and_csv_give_the_same_table(tmp_path):
    table = _read(tmp_path, ROW, ROW | {"position": "2", "clicked": "0"})
    columns = {
        name: [row[name] for row in (ROW, ROW | {"position": "2", "clicked": "0"})] for name in ROW
    }
    numbers = ("position", "shown_at_random", "clicked", "applied")
    columns |= {name: [int(value) for value in columns[name]] for name in numbers}
    pq.write_table(pa.table(columns), tmp_path / "impressions.parquet")
    assert read_impressions(tmp_path / "impressions.parquet").equals(table)


def test_documents_shown_must_be_known(tmp_path):
    table = _read(tmp_path, ROW, ROW | {"doc_id": "d8"}, ROW | {"doc_id": "d7"})
    path = tmp_path / "impressions.csv"
    check_documents(table, {"d1", "d7", "d8"}, path)
    with pytest.raises(CookbookError, match=r"2 are not \(such as 'd7'\). Add them"):
        check_documents(table, {"d1"}, path)


@settings(max_examples=100)
@given(content=st.binary(max_size=120) | st.text(max_size=120).map(str.encode), whole=st.booleans())
def test_any_bytes_are_a_log_or_a_clear_error(tmp_path, content, whole):
    path = tmp_path / "impressions.csv"
    row = ",".join(ROW.values()).encode()
    path.write_bytes((HEADER.encode() + b"\n" + row + b"\n" if whole else b"") + content)
    try:
        table = read_impressions(path)
    except CookbookError:
        return
    assert min(table["position"].to_pylist()) >= 1
    assert set(table["clicked"].to_pylist()) <= {0, 1}
