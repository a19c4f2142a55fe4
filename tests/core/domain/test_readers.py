"""Guards the reading of a user's files: every broken one ends in one clear sentence."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.domain import readers
from tasks.core.domain.readers import read_csv, read_json_lines
from tasks.core.errors import CookbookError

FUZZ = settings(max_examples=150)


def _csv(folder, content):
    path = folder / "rows.csv"
    path.write_bytes(content)
    return list(read_csv(path, ("a", "b")))


def _lines(folder, content, name="rows.jsonl"):
    path = folder / name
    path.write_bytes(content)
    return list(read_json_lines(path))


def test_a_row_comes_with_the_number_of_its_line(tmp_path):
    assert _csv(tmp_path, b"a,b\n1,2\n3,4\n") == [
        (2, {"a": "1", "b": "2"}),
        (3, {"a": "3", "b": "4"}),
    ]


def test_byte_order_mark_and_windows_line_ends_are_no_mistake(tmp_path):
    assert _csv(tmp_path, b"\xef\xbb\xbfa,b\r\n1,2\r\n") == [(2, {"a": "1", "b": "2"})]


def test_a_quoted_comma_does_not_split_a_value(tmp_path):
    assert _csv(tmp_path, b'a,b\n"1,5",2\n') == [(2, {"a": "1,5", "b": "2"})]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "needs the columns a, b; a, b is missing (it has no header)"),
        (b"a,c\n1,2\n", "b is missing (it has a, c)"),
        (b"a;b\n1;2\n", "(it has a;b). Add it, with commas between columns"),
        (b"a,b,a\n1,2,3\n", "a stands twice. Rename one"),
        (b"a,b\n1,2\n1,2,3\n", "line 3: a row has 2 values; this one has more or fewer"),
        (b"a,b\n1\n", "line 2: a row has 2 values"),
        (b"a,b\n1,\xff\n", "must be UTF-8 text"),
        (b"a,b\n1,\x00\n", "line 2: a line has at most 2,000,000 characters and no NUL"),
        (b'a,b\n"1,2\n', "came one that is not (unexpected end of data)"),
        (b'"a,b\n1,2\n', "came one that is not (unexpected end of data)"),
        (b'a,b\n"1"x,2\n', "line 2: rows are CSV with double quotes"),
    ],
)
def test_a_broken_csv_file_is_named_with_what_to_do(tmp_path, content, says):
    with pytest.raises(CookbookError) as caught:
        _csv(tmp_path, content)
    assert says in str(caught.value)
    assert str(tmp_path / "rows.csv") in str(caught.value)


def test_a_line_past_the_limit_is_refused_before_the_rest_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "MAX_LINE_CHARACTERS", 100)
    assert len(_csv(tmp_path, b"a,b\n" + b"x" * 90 + b",1\n")) == 1
    with pytest.raises(CookbookError, match="line 2: a line has at most 100 characters"):
        _csv(tmp_path, b"a,b\n" + b"x" * 200 + b",1\n")


def test_a_csv_file_with_a_header_alone_has_no_rows(tmp_path):
    assert _csv(tmp_path, b"a,b\n") == []


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"a": 1', "does not parse"),
        (b"[1, 2]", "a line holds one JSON object; came list"),
        (b'{"a": 1, "a": 2}', "a key stands twice"),
        (b'{"a": {"b": 1, "b": 1}}', "a key stands twice"),
        (b'{"a": NaN}', "NaN is no JSON number"),
        (b'{"a": -Infinity}', "-Infinity is no JSON number"),
        (b'{"a": 1e999}', "1e999 is larger than any number"),
        (b'{"a": "\\ud800"}', "does not parse"),
        (b'{"a": ' + b"[" * 100_000 + b"}", "does not parse"),
        (b'{"a": ' + b"9" * 5000 + b"}", "does not parse"),
        (b'{"a": "\xff"}', "must be UTF-8 text; after line"),
        (b'{"a": "\x00"}', "no NUL"),
    ],
)
def test_a_broken_json_line_is_named_by_its_number(tmp_path, line, says):
    with pytest.raises(CookbookError) as caught:
        _lines(tmp_path, b'{"a": 0}\n' + line + b"\n")
    assert says in str(caught.value)
    if "UTF-8" not in says:
        assert "line 2" in str(caught.value)


def test_whole_surrogate_pairs_and_empty_lines_are_no_mistake(tmp_path):
    assert _lines(tmp_path, b'\n{"a": "\\ud83d\\ude00"}\n\n') == [(2, {"a": "\U0001f600"})]


def test_a_gzip_file_that_is_cut_off_is_not_taken_for_a_short_one(tmp_path):
    whole = gzip.compress(b"".join(b'{"a": %d}\n' % n for n in range(5000)))
    with pytest.raises(CookbookError, match="must be a whole gzip file"):
        _lines(tmp_path, whole[: len(whole) // 2], "rows.jsonl.gz")


def test_a_gzip_file_made_to_fill_a_disk_is_refused_and_its_rows_written_plainly_are_not(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(readers, "FREE_CHARACTERS", 100_000)
    rows = b'{"a": 1}\n' * 100_000
    packed = gzip.compress(rows)
    assert len(rows) > readers.MAX_EXPANSION * len(packed)
    with pytest.raises(CookbookError, match="at most 200 times its size"):
        _lines(tmp_path, packed, "rows.jsonl.gz")
    assert len(_lines(tmp_path, rows)) == 100_000
    # What a log repeats, and a small file that repeats itself, stay far below.
    varied = gzip.compress(b"".join(b'{"a": %d}\n' % n for n in range(20_000)))
    assert len(_lines(tmp_path, varied, "rows.jsonl.gz")) == 20_000
    small = gzip.compress(rows[: 9 * 11_000])
    assert len(_lines(tmp_path, small, "rows.jsonl.gz")) == 11_000


def test_damage_inside_a_gzip_file_is_told(tmp_path):
    whole = bytearray(gzip.compress(bytes(range(97, 123)) * 400))
    whole[20:40] = b"\xff" * 20
    with pytest.raises(CookbookError, match="must be a whole gzip file"):
        _lines(tmp_path, bytes(whole), "rows.jsonl.gz")


def test_plain_text_named_gz_is_told(tmp_path):
    with pytest.raises(CookbookError, match="must be a whole gzip file"):
        _lines(tmp_path, b'{"a": 1}\n', "rows.jsonl.gz")


def test_parquet_rows_equal_json_rows(tmp_path):
    rows = [{"a": "x", "b": {"c": "1"}}, {"a": "y", "b": {"c": "2"}}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    assert list(read_json_lines(tmp_path / "rows.parquet")) == _lines(tmp_path, text)


def test_a_file_that_is_no_parquet_table_is_told(tmp_path):
    with pytest.raises(CookbookError, match="must be a Parquet table"):
        _lines(tmp_path, b"PAR1 no table", "rows.parquet")


@FUZZ
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_as_csv_are_rows_or_a_clear_error(tmp_path, content):
    for start in (b"", b"a,b\n"):
        try:
            rows = _csv(tmp_path, start + content)
        except CookbookError:
            continue
        assert all(isinstance(value, str) for _, row in rows for value in row.values())


@FUZZ
@given(
    content=st.binary(max_size=200)
    | st.dictionaries(st.text(max_size=5), st.floats() | st.text(max_size=5)).map(
        lambda row: json.dumps(row).encode()
    ),
    name=st.sampled_from(["rows.jsonl", "rows.jsonl.gz", "rows.parquet"]),
)
def test_any_bytes_as_json_lines_are_objects_or_a_clear_error(tmp_path, content, name):
    try:
        rows = _lines(tmp_path, content, name)
    except CookbookError:
        return
    for _, row in rows:
        written = json.dumps(row, allow_nan=False, ensure_ascii=False).encode()
        assert json.loads(written) == row


@FUZZ
@given(content=st.binary(max_size=60), at=st.integers(0, 200))
def test_a_damaged_gzip_file_is_rows_or_a_clear_error(tmp_path, content, at):
    whole = bytearray(gzip.compress(b'{"a": "some text of a document"}\n' * 20))
    whole[at : at + len(content)] = content
    try:
        rows = _lines(tmp_path, bytes(whole), "rows.jsonl.gz")
    except CookbookError:
        return
    assert len(rows) <= 20 or content


@FUZZ
@given(content=st.binary(min_size=1, max_size=20), at=st.floats(0, 1))
def test_a_damaged_parquet_table_is_rows_or_a_clear_error(tmp_path, content, at):
    path = tmp_path / "rows.parquet"
    rows = [{"a": f"text {number}", "b": {"c": number}} for number in range(50)]
    pq.write_table(pa.Table.from_pylist(rows), path)
    whole = bytearray(path.read_bytes())
    start = round(at * len(whole))
    whole[start : start + len(content)] = content
    path.write_bytes(whole)
    try:
        read = list(read_json_lines(path))
    except CookbookError:
        return
    assert all(isinstance(row, dict) for _, row in read)
