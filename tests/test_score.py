"""The step `score`: a teacher scores a shard once ever, and no other teacher's shard is taken."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.core.distillation import soft_labels
from tasks.core.distillation.soft_labels import read_soft_labels
from tasks.core.store.artifacts import Artifact, Counts, Workbench, materialize
from tasks.core.tables import columns_of, write_table
from tasks.exchange import SCORER, TRANSFER, Domain
from tasks.run import open_run
from tasks.score import score
from tests.core.training.tiny import lively_scorer, passes, processor_without_fast_bfloat16
from tests.test_distill import PAIRS, write_catalog

__all__ = ["passes", "processor_without_fast_bfloat16"]
# The last of three shards of four pairs each; its queries are of a later log.
LATER = [{**pair, "query": "pilot", "pair_id": f"new {pair['pair_id']}"} for pair in PAIRS[8:]]


@pytest.fixture(autouse=True)
def shards_of_four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soft_labels, "SHARD_ROWS", 4)


def made(kind: str, settings: Any, write: Callable[[Path], object]) -> Artifact:
    def build(bench: Workbench) -> Counts:
        write(bench.out)
        return {}

    return materialize(kind, build, settings={"as": settings})


def labels(store: Path, rows: list[dict[str, Any]], *, weight: float = 0.0) -> Path:
    """The folder of a teacher's soft labels of the rows; ``weight`` tells teachers apart."""
    step: Any = score

    def write_teacher(folder: Path) -> None:
        teacher = lively_scorer("random_encoder")
        next(iter(teacher.model.parameters())).data.add_(weight)
        teacher.save(folder / SCORER)

    with open_run(store, "toy"):
        catalog = made("catalog", 0, write_catalog)
        domain = Domain(catalog, catalog, catalog, None, None, None)
        teacher = made("policy_teacher", weight, write_teacher)
        transfer = made(
            "transfer_set",
            [row["pair_id"] for row in rows],
            lambda folder: write_table(folder / TRANSFER, columns_of(rows)),
        )
        return Path(step.fn(domain, teacher, transfer).path)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("shard-*.parquet")}


def test_a_new_log_costs_a_pass_over_what_is_new_and_gives_the_bits_of_scoring_all(
    tmp_path: Path, passes: list[int]
) -> None:
    labels(tmp_path / "one", PAIRS)
    assert passes == [4, 4, 4]
    passes.clear()
    found = labels(tmp_path / "one", [*PAIRS[:8], *LATER, *PAIRS[8:]])
    assert passes == [4]
    anew = labels(tmp_path / "another", [*PAIRS[:8], *LATER, *PAIRS[8:]])
    ids = [row["pair_id"] for row in [*PAIRS, *LATER]]
    np.testing.assert_array_equal(read_soft_labels(found, ids), read_soft_labels(anew, ids))
    assert files(found) == files(anew)


def test_another_teacher_scores_every_shard_itself(tmp_path: Path, passes: list[int]) -> None:
    first = labels(tmp_path, PAIRS)
    other = labels(tmp_path, PAIRS, weight=0.5)
    assert passes == [4] * 6
    assert not files(first).keys() & files(other).keys()


def test_a_shard_whose_texts_changed_is_scored_anew(tmp_path: Path, passes: list[int]) -> None:
    labels(tmp_path, PAIRS)
    passes.clear()
    changed = [{**row, "query": "actor"} if row["pair_id"] == "p5" else row for row in PAIRS]
    changed[0] = {**changed[0], "bm25": 2.0}  # no teacher reads it
    labels(tmp_path, [*changed, *LATER])
    assert passes == [4, 4]


def test_a_damaged_earlier_shard_is_not_taken_over(tmp_path: Path, passes: list[int]) -> None:
    before = labels(tmp_path, PAIRS)
    damaged = sorted(before.glob("shard-*.parquet"))[1]
    intact = damaged.read_bytes()
    damaged.write_bytes(intact[:-9] + b"x" + intact[-8:])
    passes.clear()
    found = labels(tmp_path, [*PAIRS, *LATER])
    assert passes == [4, 4]
    assert intact in files(found).values()


def test_an_unfinished_artifact_gives_nothing(tmp_path: Path, passes: list[int]) -> None:
    """Its files may be half written."""
    before = labels(tmp_path, PAIRS)
    (before / "manifest.json").unlink()
    passes.clear()
    labels(tmp_path, [*PAIRS, *LATER])
    assert passes == [4] * 4
