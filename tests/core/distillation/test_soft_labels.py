"""Soft labels: the same logits whole or in shards, and no finished shard is ever scored again."""

from pathlib import Path

import numpy as np
import pytest

from tasks.core.distillation import soft_labels
from tasks.core.distillation.soft_labels import read_soft_labels, score_shards
from tasks.core.tables import read_table, write_table
from tasks.core.training.scorer import PairScorer
from tests.core.training.tiny import pairs_of, tiny_scorer

PAIRS = pairs_of(11)
IDS = [f"pair{number:02d}" for number in range(11)]


@pytest.fixture(autouse=True)
def shards_of_four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soft_labels, "SHARD_ROWS", 4)


@pytest.fixture(scope="module")
def teacher() -> PairScorer:
    return tiny_scorer("random_decoder", actions=("clicked",))


def score(teacher: PairScorer, root: Path, seen: list[tuple[int, int]] | None = None) -> Path:
    out, scratch = root / "out", root / "scratch"
    out.mkdir(exist_ok=True)
    scratch.mkdir(exist_ok=True)
    record = (seen if seen is not None else []).append
    count = score_shards(
        lambda: teacher,
        IDS,
        PAIRS,
        scorer_digest="the teacher's",
        out=out,
        scratch=scratch,
        earlier=root / "earlier",
        progress=lambda done, total: record((done, total)),
    )
    assert count == len(list(out.glob("shard-*.parquet"))) == 3
    return out


def test_shards_hold_what_the_whole_has(teacher: PairScorer, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    out = score(teacher, tmp_path, seen)
    np.testing.assert_allclose(read_soft_labels(out, IDS), teacher.logits(PAIRS), atol=1e-6)
    assert seen == [(4, 11), (8, 11), (11, 11)]


def test_a_resumed_run_scores_only_the_shards_it_lacks(teacher: PairScorer, tmp_path: Path) -> None:
    """The finished shard is given other numbers: scored again, they would be gone."""
    score(teacher, tmp_path)
    kept, lost, _ = sorted((tmp_path / "scratch").glob("shard-*.parquet"))
    marks = np.full((4, 4), 7.0, dtype=np.float32)
    write_table(kept, {"pair_id": IDS[:4], "logits": list(marks)})
    lost.unlink()
    found = read_soft_labels(score(teacher, tmp_path), IDS)
    np.testing.assert_array_equal(found[:4], marks)
    np.testing.assert_allclose(found[4:], teacher.logits(PAIRS)[4:], atol=1e-6)


def test_a_half_written_shard_is_scored_again(teacher: PairScorer, tmp_path: Path) -> None:
    score(teacher, tmp_path)
    torn = sorted((tmp_path / "scratch").glob("shard-*.parquet"))[1]
    torn.with_name(f".{torn.name}").write_bytes(b"PAR1 torn")
    torn.unlink()
    found = read_soft_labels(score(teacher, tmp_path), IDS)
    np.testing.assert_allclose(found, teacher.logits(PAIRS), atol=1e-6)


def test_logits_are_stored_raw(teacher: PairScorer, tmp_path: Path) -> None:
    """Before temperature and softmax, so that neither needs the teacher again."""
    table = read_table(sorted(score(teacher, tmp_path).glob("shard-*.parquet"))[0])
    stored = np.array(table["logits"].to_pylist())
    np.testing.assert_allclose(stored, teacher.logits(PAIRS[:4]), atol=1e-6)
    assert (stored < 0).any()


def test_labels_come_in_the_order_asked_for_and_a_missing_pair_is_nan(
    teacher: PairScorer, tmp_path: Path
) -> None:
    found = read_soft_labels(score(teacher, tmp_path), ["pair09", "unknown", "pair02"])
    expected = teacher.logits([PAIRS[9], PAIRS[2]])
    np.testing.assert_allclose(found[[0, 2]], expected, atol=1e-6)
    assert np.isnan(found[1]).all()
