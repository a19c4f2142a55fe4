"""Guards tables on disk: same rows, same bytes; what is written is what is read."""

import numpy as np
import pytest

from tasks.core.tables import columns_of, iterate_rows, read_rows, read_table, write_table

ROWS = [
    {"id": "a", "grade": 1, "vector": [0.5, 1.5], "raters": [1, None]},
    {"id": "é", "grade": 3, "vector": [0.25, 0.0], "raters": []},
]


def test_rows_come_back_as_they_went(tmp_path):
    assert write_table(tmp_path / "t.parquet", columns_of(ROWS)) == 2
    assert read_rows(tmp_path / "t.parquet") == ROWS
    assert list(iterate_rows(tmp_path / "t.parquet", batch=1)) == ROWS


def test_same_rows_are_the_same_bytes(tmp_path):
    """Digests are over bytes: a timestamp or a hash order inside would rebuild everything."""
    for name in ("first", "second"):
        write_table(tmp_path / name, columns_of(ROWS))
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    write_table(tmp_path / "third", columns_of(ROWS[::-1]))
    assert (tmp_path / "first").read_bytes() != (tmp_path / "third").read_bytes()


def test_lists_and_arrays_are_the_same_bytes(tmp_path):
    write_table(tmp_path / "list", {"x": [1.5, 2.5]})
    write_table(tmp_path / "array", {"x": np.array([1.5, 2.5])})
    assert (tmp_path / "list").read_bytes() == (tmp_path / "array").read_bytes()


def test_some_columns_are_read_alone(tmp_path):
    write_table(tmp_path / "t.parquet", columns_of(ROWS))
    assert read_table(tmp_path / "t.parquet", ["grade"]).to_pydict() == {"grade": [1, 3]}


def test_no_rows_are_a_table_too(tmp_path):
    assert write_table(tmp_path / "t.parquet", columns_of([])) == 0
    assert read_rows(tmp_path / "t.parquet") == []


def test_columns_of_unequal_length_are_refused(tmp_path):
    with pytest.raises(ValueError, match="length"):
        write_table(tmp_path / "t.parquet", {"a": [1], "b": [1, 2]})


def test_logits_keep_every_bit(tmp_path):
    logits = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    write_table(tmp_path / "t.parquet", {"logits": list(logits)})
    read = np.array(read_table(tmp_path / "t.parquet")["logits"].to_pylist(), dtype=np.float32)
    assert np.array_equal(read, logits)
