"""The step `distill`: what its settings do to the scorer that it saves."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tasks.branch import changed
from tasks.core.domain.catalog import DOCUMENTS, MEMBERS, Catalog
from tasks.core.errors import CookbookError
from tasks.core.store.artifacts import Artifact, Counts, Workbench, materialize
from tasks.core.tables import columns_of, write_table
from tasks.core.training.architecture import layers
from tasks.core.training.precision import device_of
from tasks.core.training.scorer import PairScorer
from tasks.distill import _shrink, _some, distill
from tasks.exchange import SCORER, TRANSFER, Domain
from tasks.run import open_run
from tasks.score import score
from tasks.settings import (
    BaseModelSettings,
    DistillationSettings,
    SoftTeacherSettings,
    TrainingSettings,
)
from tests.core.training.tiny import (
    WORDS,
    lively_scorer,
    passes,
    processor_without_fast_bfloat16,
    tiny_scorer,
)

__all__ = ["passes", "processor_without_fast_bfloat16"]
TRAINING = TrainingSettings(epochs=1, learning_rate=1e-3, checkpoint_every_steps=0)
SHAPE = DistillationSettings(layers=2, mlp_share=0.5, training=TRAINING)
PAIRS = [
    {
        "pair_id": f"p{number}",
        "query_id": f"q{number // 4}",
        "query": f"{WORDS[number // 4]} hospital",
        "member_id": "m0" if number // 4 % 2 else "",
        "doc_id": f"d{number % 4}",
        "bm25": 1.0,
        "cosine": 0.5,
    }
    for number in range(12)
]
DOCUMENT_ROWS = [
    {"doc_id": f"d{number}", "title": f"{WORDS[number]} wanted", "text": "night shifts"}
    | {"attributes": json.dumps({"place": "reykjavik"}), "groups": "{}"}
    for number in range(4)
]
MEMBER_ROWS = [
    {"member_id": "m0", "text": "surgeon", "attributes": "{}", "groups": "{}"},
]


def made(kind: str, write: Callable[[Path], None]) -> Artifact:
    def build(bench: Workbench) -> Counts:
        write(bench.out)
        return {}

    return materialize(kind, build, settings={}, upstream=[])


def write_catalog(folder: Path) -> None:
    write_table(folder / DOCUMENTS, columns_of(DOCUMENT_ROWS))
    write_table(folder / MEMBERS, columns_of(MEMBER_ROWS))


def write_transfer(folder: Path) -> None:
    write_table(folder / TRANSFER, columns_of(PAIRS))


def write_start(folder: Path) -> None:
    tiny_scorer("random_encoder").save(folder / SCORER)


def write_labels(folder: Path) -> None:
    logits = np.random.default_rng(0).normal(size=(len(PAIRS), 3)).astype(np.float32)
    columns = {"pair_id": [pair["pair_id"] for pair in PAIRS], "logits": list(logits)}
    write_table(folder / "shard-00000.parquet", columns)


def write_labels_with_actions(folder: Path) -> None:
    logits = np.random.default_rng(0).normal(size=(len(PAIRS), 5)).astype(np.float32)
    columns = {"pair_id": [pair["pair_id"] for pair in PAIRS], "logits": list(logits)}
    write_table(folder / "shard-00000.parquet", columns)


def taught(
    store: Path,
    settings: DistillationSettings,
    start: PairScorer | None = None,
    write_labels: Callable[[Path], None] = write_labels,
) -> PairScorer:
    """The student that the step saves, without Prefect around it."""
    step: Any = distill
    with open_run(store, "toy"):
        catalog = made("catalog", write_catalog)
        domain = Domain(catalog, catalog, catalog, None, None, None)
        said = made("soft_labels", write_labels)
        labels = {"policy": said, "other": said}
        write = write_start if start is None else lambda out: start.save(out / SCORER)
        transfer, begun = made("transfer_set", write_transfer), made("start", write)
        student = step.fn("student", domain, transfer, labels, begun, settings, {})
    return PairScorer.load(student.file(SCORER))


def test_a_trimmed_role_keeps_what_catalog_and_training_queries_use(tmp_path: Path) -> None:
    """And teaches the same student otherwise: equal logits."""
    whole = taught(tmp_path, SHAPE)
    trimmed = taught(tmp_path, SHAPE.model_copy(update={"trim_vocabulary": True}))
    used = {"hospital", "wanted", "shifts", "reykjavik", "surgeon"}
    assert used <= whole.tokenizer.get_vocab().keys()
    assert used <= trimmed.tokenizer.get_vocab().keys()
    assert "zoology" in whole.tokenizer.get_vocab()
    assert "zoology" not in trimmed.tokenizer.get_vocab()
    gone = len(whole.tokenizer) - len(trimmed.tokenizer)
    assert gone > 20_000
    assert whole.parameters() - trimmed.parameters() == gone * 32
    texts = Catalog.load(next(tmp_path.glob("artifacts/catalog/*"))).pairs(whole.template, PAIRS)
    np.testing.assert_allclose(trimmed.logits(texts), whole.logits(texts), rtol=1e-5, atol=1e-7)


def test_without_a_click_log_a_student_is_taught_no_actions_that_a_teacher_has(
    tmp_path: Path,
) -> None:
    clicks = SoftTeacherSettings(name="other", kind="actions")
    role = changed(SHAPE, teachers=(soft_teacher("grades", live=False), clicks))
    student = taught(tmp_path, role, write_labels=write_labels_with_actions)
    assert (student.outputs.actions, student.taught) == ((), ("grades",))


def soft_teacher(kind: str, *, live: bool) -> SoftTeacherSettings:
    return SoftTeacherSettings.model_validate({"name": "policy", "kind": kind, "live": live})


@pytest.mark.parametrize("kind", ["grades", "listwise"])
def test_a_live_teacher_teaches_the_student_that_its_stored_labels_teach(
    kind: str, tmp_path: Path, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It scores every row once an epoch, for each student; stored labels none, for none.

    Whatever the machine would give: a teacher that answers cannot be sent to other processes.
    """
    teach: Any = distill
    give: Any = score
    found: dict[bool, PairScorer] = {}
    with open_run(tmp_path, "toy"):
        catalog = made("catalog", write_catalog)
        domain = Domain(catalog, catalog, catalog, None, None, None)
        transfer, start = made("transfer_set", write_transfer), made("start", write_start)
        lively = lively_scorer("random_encoder")
        teacher = made("policy_teacher", lambda out: lively.save(out / SCORER))
        labels = {"policy": give.fn(domain, teacher, transfer)}
        for live in (False, True):
            monkeypatch.setenv("COOKBOOK_PROCESSES", "2" if live else "1")
            for layers in (2, 1):  # a second student
                passes.clear()
                role = SHAPE.model_copy(
                    update={"layers": layers, "teachers": (soft_teacher(kind, live=live),)}
                )
                role = changed(role, training=changed(TRAINING, epochs=2, rows_per_step=4))
                student = teach.fn(
                    "student",
                    domain,
                    transfer,
                    {} if live else labels,
                    start,
                    role,
                    {"policy": teacher},
                )
                assert passes == ([4] * 6 if live else [])
            found[live] = PairScorer.load(student.file(SCORER))
    texts = Catalog.load(next(tmp_path.glob("artifacts/catalog/*"))).pairs(lively.template, PAIRS)
    begun = tiny_scorer("random_encoder").logits(texts)
    live_logits, stored_logits = (found[live].logits(texts) for live in (True, False))
    assert np.abs(live_logits - begun).max() > 1e-3
    if kind == "listwise":  # cannot see the head's bias, whose gradient is rounding alone
        live_logits, stored_logits = (
            one - one.mean(axis=0) for one in (live_logits, stored_logits)
        )
    np.testing.assert_allclose(live_logits, stored_logits, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"teachers": ({"name": "words", "kind": "actions", "live": True},)}, "came words"),
        (
            {
                "teachers": (
                    {"name": "policy", "kind": "grades", "live": True},
                    {"name": "click", "kind": "actions"},
                ),
                "conflicts": "agreement",
            },
            "policy teaches live",
        ),
        (
            {
                "teachers": (
                    {"name": "policy", "kind": "grades"},
                    {"name": "policy", "kind": "listwise", "live": True},
                )
            },
            "came policy both ways",
        ),
    ],
)
def test_who_cannot_teach_live_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        DistillationSettings.model_validate({"layers": 1, "training": TRAINING, **change})


def test_lists_are_what_one_member_was_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two members ask every query here: candidates of one are not compared with the other's."""
    for number, pair in enumerate(PAIRS):
        monkeypatch.setitem(pair, "member_id", "m0" if number % 2 else "")
    seen: list[Any] = []

    def look(*arguments: Any, **_: Any) -> None:
        seen.append(arguments[2])
        raise InterruptedError

    monkeypatch.setattr("tasks.distill.teach", look)
    with pytest.raises(InterruptedError):
        taught(tmp_path, SHAPE)
    assert seen[0].tolist() == [0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5]


def test_an_encoder_that_keeps_its_first_layers_keeps_the_last_one_too(tmp_path: Path) -> None:
    """It averages over the tokens; a decoder's last layer has no such office."""
    for source, kept in (("random_encoder", {0, 2}), ("random_decoder", {0, 1})):
        start = tiny_scorer(source)  # type: ignore[arg-type]
        stack = list(layers(start.model))
        begun = [[one.clone() for one in layer.state_dict().values()] for layer in stack]
        _shrink(start, changed(SHAPE, layers=2, mlp_share=1.0, kept_layers="first"), [])
        for layer, number in zip(layers(start.model), sorted(kept), strict=True):
            found = layer.state_dict().values()
            assert all(torch.equal(*two) for two in zip(found, begun[number], strict=True))
    alone = tiny_scorer("random_encoder")
    last = layers(alone.model)[-1]
    _shrink(alone, changed(SHAPE, layers=1, mlp_share=1.0, kept_layers="first"), [])
    assert [*layers(alone.model)] == [last]


def test_calibration_pairs_come_from_all_over() -> None:
    """Of 7 pairs at most 4: numbers 0, 7 // 4, 14 // 4 and 21 // 4; of 4 or fewer, all."""
    pairs: Any = list(range(7))
    assert _some(pairs, 4) == [0, 1, 3, 5]
    assert _some(pairs[:4], 4) == [0, 1, 2, 3]
    assert _some(pairs[:3], 4) == [0, 1, 2]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"layers": 4}, "which has 3; came layers 4"),
        ({"mlp_share": 0.007}, "of 64 here; came mlp_share 0.007"),
    ],
)
def test_a_shape_that_the_start_does_not_have_is_refused(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(CookbookError, match=said):
        taught(tmp_path, changed(SHAPE, **change))


def test_a_new_head_says_not_which_layers_are_important(tmp_path: Path) -> None:
    tiny_scorer("random_encoder").save(tmp_path / "hub")
    for source in ("embedded", "random_encoder"):
        with pytest.raises(ValidationError, match=rf"came base\.source {source}, an encoder"):
            changed(SHAPE, kept_layers="important", base=BaseModelSettings(source=source))
    hub = BaseModelSettings(source="hub", name=str(tmp_path / "hub"))
    with pytest.raises(CookbookError, match="is an encoder, whose head is new"):
        taught(tmp_path / "store", changed(SHAPE, kept_layers="important", base=hub))
    causal = BaseModelSettings(source="random_decoder")
    assert changed(SHAPE, kept_layers="important", base=causal).base == causal


@pytest.mark.parametrize(
    ("cutter", "shape"),
    [
        ("prune_mlps", SHAPE),
        ("important_layers", changed(SHAPE, layers=1, mlp_share=1.0, kept_layers="important")),
    ],
)
def test_pruning_runs_where_training_will(
    cutter: str, shape: DistillationSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine with a GPU a model just loaded lies on the CPU; here meta stands for the GPU."""
    seen: list[torch.device] = []

    def look(scorer: PairScorer, *_: Any) -> None:
        seen.append(device_of(scorer.model))
        raise InterruptedError

    monkeypatch.setattr("tasks.distill.best_device", lambda: torch.device("meta"))
    monkeypatch.setattr(f"tasks.distill.{cutter}", look)
    with pytest.raises(InterruptedError):
        taught(tmp_path, shape)
    assert seen == [torch.device("meta")]
