"""Measurements of whole runs go by the run's own policy and settings, and not by others."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import rotation, world_ablations
from benchmarks.evaluated import Floats
from benchmarks.published_shapes import Shape, by_name, training_flops
from flows.profiles import smoke
from tasks.core.tables import Row, columns_of, write_table
from tasks.core.training.scorer import Outputs, grade_probabilities, relevance
from tasks.core.training.teachers import Lora
from tasks.exchange import optimization

POLICY = Path(__file__).parents[1] / "policy" / "job_search" / "policy.md"


def folder(store: Path, kind: str) -> Path:
    made = store / "artifacts" / kind / "one"
    made.mkdir(parents=True)
    return made


def test_a_rotation_reads_grades_that_people_gave_to_no_pair(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Five grades by the policy, four of them given: the fifth was taken for the first action."""
    golden = [
        {"query_id": f"q{n}", "member_id": "", "doc_id": "d", "grade": n % 4, "split": "sealed"}
        | {"raters": [n % 4, n % 4]}
        for n in range(8)
    ]
    write_table(folder(tmp_path, "golden") / "golden.parquet", columns_of(golden))
    (folder(tmp_path, "policy") / "policy.md").write_bytes(POLICY.read_bytes())
    folder(tmp_path, "judge")
    folder(tmp_path, "catalog")
    logits = np.random.default_rng(0).normal(size=(8, 7))
    for tier in rotation.TIERS:
        evaluated = folder(tmp_path, f"evaluated_{tier}")
        write_table(evaluated / "logits.parquet", {"logits": logits.tolist()})
        (evaluated / "grade_cuts.json").write_text(json.dumps({"grade_cuts": None}))
    others = dict.fromkeys(rotation.OTHERS, np.zeros(8))
    write_table(folder(tmp_path, "evaluated_baselines") / "logits.parquet", others)
    monkeypatch.setattr(rotation.Catalog, "load", lambda _: None)
    monkeypatch.setattr(rotation, "judge_grades", lambda *_: np.full(8, 4))
    fold = rotation.read_fold(tmp_path)
    assert fold.scores["student"] == pytest.approx(relevance(grade_probabilities(logits, 5)))
    assert np.isfinite(rotation.pooled([fold])["judge_kappa"])


def test_ablations_train_by_the_settings_of_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They went by laptop's, whatever profile the worlds were run by."""
    rows = [
        {
            "impression_id": f"i{n}",
            "member_id": f"m{n}",
            "use": use,
            "clicked": n % 2,
            "weight": 1.0,
        }
        for n in range(6)
        for use in ("train", "held_out")
    ]
    for name in ("impressions.parquet", "training_log.parquet"):
        write_table(tmp_path / name, columns_of(rows))
    trained: list[Any] = []
    asked: list[Any] = []

    def train(*arguments: Any, lora: Lora | None) -> None:
        trained.append((arguments[-1], lora))

    def learned(*arguments: Any) -> tuple[None, None, Floats]:
        asked.append((arguments[1], arguments[-1]))
        return None, None, np.zeros((6, 1))

    def scores(_: Any, pairs: list[Row]) -> Floats:
        return np.zeros((len(pairs), 2))

    scorer = type("Scorer", (), {"outputs": Outputs(1, ("clicked",)), "template": None})
    scorer.logits = scores  # type: ignore[attr-defined]
    catalog = SimpleNamespace(pairs=lambda _, rows: rows)
    monkeypatch.setattr(world_ablations.PairScorer, "load", lambda _: scorer())
    monkeypatch.setattr(world_ablations.Catalog, "load", lambda _: catalog)
    monkeypatch.setattr(world_ablations.TextEncoder, "of", lambda base: base.source)
    monkeypatch.setattr(world_ablations, "_bots", lambda _: {"m0"})
    monkeypatch.setattr(world_ablations, "TRAINING_LOG", "training_log.parquet")
    monkeypatch.setattr(world_ablations, "train_click_teacher", train)
    monkeypatch.setattr(world_ablations, "learned_from_log", learned)
    settings = smoke()
    world_ablations.ablations(lambda _: tmp_path, tmp_path, settings)
    assert trained == [(optimization(settings.click_teacher.training), Lora(2, 4))] * 2
    assert asked == [("random_encoder", settings.click_words)] * 2


def test_operations_of_a_training_step_by_hand() -> None:
    """16 heads of 128 for queries, 8 for keys and for values, 28 layers."""
    config = by_name()["Qwen/Qwen3-0.6B"]
    dense = 2 * 28 * (2 * 1024 * (2048 + 1024) + 3 * 1024 * 3072) * 300
    attention = 28 * 2 * 2 * 16 * 128 * (100**2 + 200**2) / 2
    whole = training_flops(Shape("whole", config, lora=False), [100, 200])
    assert whole == 3 * dense + 3 * attention
    assert training_flops(Shape("adapted", config, lora=True), [100, 200]) == whole - dense
