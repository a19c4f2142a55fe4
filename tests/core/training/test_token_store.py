"""Tokens from disk are the tokens that were encoded, and none is encoded twice."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.training import token_store
from tasks.core.training.token_store import TOKENS, stored
from tasks.core.training.tokens import Tokenized
from tests.core.training.tiny import pairs_of, tiny_scorer

ROWS = st.lists(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=5), max_size=8)


@pytest.fixture(autouse=True)
def parts_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_store, "_ROWS_AT_ONCE", 3)


def never() -> Tokenized:
    raise AssertionError("encoded again")


@given(rows=ROWS, segmented=st.booleans())
def test_what_is_read_is_what_was_encoded(rows: list[list[int]], segmented: bool) -> None:
    encoded = Tokenized(
        [np.array(row, dtype=np.int32) for row in rows], np.arange(len(rows)), segmented
    )
    with TemporaryDirectory() as folder:
        found = stored(lambda: encoded, Path(folder))
        assert [row.tolist() for row in found.token_ids] == rows
        assert found.lengths.tolist() == [len(row) for row in rows]
        assert found.left_lengths.tolist() == list(range(len(rows)))
        assert found.segmented == segmented
        assert all(row.dtype == np.int32 for row in found.token_ids)
        backwards = np.arange(len(rows))[::-1]
        taken = found.take(backwards)
        assert [row.tolist() for row in taken.token_ids] == rows[::-1]


def test_a_row_that_is_not_there_is_no_other_row() -> None:
    encoded = Tokenized([np.array([n], np.int32) for n in range(4)], np.zeros(4, np.int64), False)
    with TemporaryDirectory() as folder:
        ids = stored(lambda: encoded, Path(folder)).token_ids
        assert ids[-1].tolist() == [3]
        with pytest.raises(IndexError):
            ids[4]


def test_a_training_that_goes_on_encodes_nothing(tmp_path: Path) -> None:
    scorer = tiny_scorer("random_decoder")
    encoded = scorer.tokenize(pairs_of(7))
    stored(lambda: encoded, tmp_path)
    found = stored(never, tmp_path)
    for one, other in zip(found.token_ids, encoded.token_ids, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
def test_a_torn_file_is_encoded_again(kept: float, tmp_path: Path) -> None:
    encoded = tiny_scorer("random_encoder").tokenize(pairs_of(7))
    stored(lambda: encoded, tmp_path)
    whole = (tmp_path / TOKENS).read_bytes()
    (tmp_path / TOKENS).write_bytes(whole[: int(kept * len(whole)) if kept < 1 else int(kept)])
    found = stored(lambda: encoded, tmp_path)
    np.testing.assert_array_equal(found.lengths, encoded.lengths)
    assert (tmp_path / TOKENS).read_bytes() == whole
