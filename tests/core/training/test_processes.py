"""Several processes change how a step is computed, never what it computes or what is refused."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch.distributed.tensor import DTensor

from tasks.core.errors import CookbookError
from tasks.core.training import loop, precision
from tasks.core.training.base_models import BaseModel, Source, language_model
from tasks.core.training.loop import Optimization, Progress, TrainingReport
from tasks.core.training.processes import shared_out
from tasks.core.training.rationales import learn_rationales
from tasks.core.training.scorer import PairScorer
from tasks.core.training.scoring_pool import logits_of_parts
from tasks.core.training.teachers import Lora, train_policy_teacher
from tests.core.training.test_memory import OPTIMIZATION, UNSEEN
from tests.core.training.tiny import lively_scorer, pairs_of, tiny_scorer

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
Logits = npt.NDArray[np.float32]
# Clips each step: unclipped, AdamW hardly tells gradients from their halves.
ONE = replace(OPTIMIZATION, epochs=2, checkpoint_every_steps=1, max_grad_norm=0.2)
TWO = replace(ONE, processes=2)
SPLIT = replace(TWO, split_weights=True)


@shared_out
def teach(
    scorer: PairScorer,
    optimization: Optimization,
    *,
    lora: Lora | None = None,
    checkpoints: Path | None = None,
    progress: Progress | None = None,
) -> TrainingReport:
    """25 rows in steps of eight or so, in float32; rows of a query and member are compared."""
    precision.cpu_flags = frozenset  # type: ignore[assignment]
    if torch.distributed.is_initialized():
        _watch(scorer, splits=optimization.split_weights)
        if checkpoints is not None and torch.distributed.get_rank() == 1:
            vars(scorer)["tokenize"] = encoded_twice
    return train_policy_teacher(
        scorer,
        pairs_of(25),
        np.eye(3)[np.arange(25) % 3],
        np.arange(25) // 4,
        np.arange(25) % 5 / 5,
        optimization,
        lora=lora,
        listwise_weight=0.3,
        checkpoints=checkpoints,
        progress=progress,
    )


def encoded_twice(_: object) -> None:
    raise AssertionError("What the first process encoded is to be read from disk.")


def _watch(scorer: PairScorer, *, splits: bool) -> None:
    """Fail where this process computes a whole step, or holds more of a model than its share."""

    def few(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        assert len(inputs[0]) < 7, "a process computed a whole step"

    head = "classifier" if hasattr(scorer.model, "classifier") else "score"
    scorer.model.get_submodule(head).register_forward_pre_hook(few)
    place = loop.place

    def placed(*arguments: Any, **options: Any) -> Any:
        model = place(*arguments, **options)
        found = {isinstance(parameter, DTensor) for parameter in model.parameters()}
        assert found == {splits}
        return model

    loop.place = placed


def taught(
    source: Source, optimization: Optimization, **options: Any
) -> tuple[Logits, TrainingReport]:
    scorer = tiny_scorer(source)
    report = teach(scorer, optimization, **options)
    return scorer.logits(UNSEEN), report


@pytest.mark.parametrize(
    ("source", "lora", "several"),
    [
        ("random_encoder", Lora(4, 8), TWO),
        ("random_encoder", None, SPLIT),
        ("random_decoder", Lora(4, 8), SPLIT),
        ("random_decoder", None, TWO),
    ],
)
def test_two_processes_end_with_the_model_of_one(
    source: Source, lora: Lora | None, several: Optimization
) -> None:
    """By logits: AdamW blows rounding up in weights that change nothing, such as key biases."""
    seen: list[tuple[int, int]] = []
    found, report = taught(
        source, several, lora=lora, progress=lambda done, total: seen.append((done, total))
    )
    expected, alone = taught(source, ONE, lora=lora)
    np.testing.assert_allclose(found, expected, atol=5e-4)
    assert np.abs(expected - tiny_scorer(source).logits(UNSEEN)).max() > 0.005
    assert seen == [(step, report.steps) for step in range(1, report.steps + 1)]
    assert (report.steps, report.rows) == (alone.steps, alone.rows)
    assert report.last_loss == pytest.approx(alone.last_loss, abs=1e-4)


@pytest.mark.parametrize("several", [TWO, SPLIT])
def test_killed_processes_go_on_to_the_same_bits(
    several: Optimization, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the third of its steps, and what a killed run left beside is no hindrance."""
    whole, report = taught("random_decoder", several)
    assert report.steps > 4
    monkeypatch.setenv("COOKBOOK_FAULT", "training:step:3")
    with pytest.raises(CookbookError, match="got SIGKILL.*goes on from its last checkpoint"):
        taught("random_decoder", several, checkpoints=tmp_path)
    monkeypatch.delenv("COOKBOOK_FAULT")
    (tmp_path / "processes").mkdir()
    (tmp_path / "processes" / "meeting").write_text("of the run before")
    seen: list[int] = []
    found, _ = taught(
        "random_decoder",
        several,
        checkpoints=tmp_path,
        progress=lambda done, total: seen.append(done),
    )
    np.testing.assert_array_equal(found, whole)
    assert seen[0] == 3  # the second step's checkpoint is the last that was whole
    assert not (tmp_path / "processes").exists()


def test_a_writer_learns_in_two_processes_what_it_learns_in_one() -> None:
    """Its embeddings and its head are the same weights."""

    def written(optimization: Optimization) -> Logits:
        writer = language_model(BaseModel("random_decoder", "tiny"), seed=0)
        template = tiny_scorer("random_decoder").template
        reasons = ["as it fits"] * 12
        learn_rationales(
            writer, template, pairs_of(12), reasons, np.arange(12) % 3, optimization, lora=None
        )
        ids = torch.arange(1, 30)[None]
        with torch.no_grad():
            found: Logits = writer.model(ids).logits.numpy()
        return found

    begun = language_model(BaseModel("random_decoder", "tiny"), seed=0)
    with torch.no_grad():
        before = begun.model(torch.arange(1, 30)[None]).logits.numpy()
    expected = written(ONE)
    assert np.abs(expected - before).max() > 0.1
    np.testing.assert_allclose(written(SPLIT), expected, atol=2e-2)


def test_what_a_process_refuses_is_refused() -> None:
    scorer = tiny_scorer("random_encoder")
    with pytest.raises(CookbookError, match="at least one row with a target, and none came"):
        train_policy_teacher(
            scorer, [], np.empty((0, 3)), np.arange(0), np.empty(0), TWO, lora=None
        )


def test_what_fails_in_a_process_is_told_whole() -> None:
    """A mistake of this project's own: its traceback, not what another process made of it."""
    queries = np.arange(3)  # of four pairs
    with pytest.raises(RuntimeError, match=r"(?s)A training process failed.*epoch_batches"):
        train_policy_teacher(
            tiny_scorer("random_encoder"),
            pairs_of(4),
            np.eye(3)[[0, 1, 2, 0]],
            queries,
            np.empty(4),
            replace(TWO, list_size=0),
            lora=None,
        )


def test_parts_are_scored_to_the_same_bits_and_in_their_order() -> None:
    parts = [pairs_of(count, seed=count) for count in (5, 1, 7, 3)]
    alone = list(logits_of_parts(scorer_to_ask, parts, processes=1))
    together = list(logits_of_parts(scorer_to_ask, parts, processes=2))
    assert [len(part) for part in together] == [5, 1, 7, 3]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def scorer_to_ask() -> PairScorer:
    precision.cpu_flags = frozenset  # type: ignore[assignment]
    torch.set_num_threads(1)
    return lively_scorer("random_decoder")


def test_a_killed_scoring_process_says_what_to_do() -> None:
    with pytest.raises(CookbookError, match="Run again: what was scored is kept"):
        list(logits_of_parts(killed, [pairs_of(2), pairs_of(3)], processes=2))


def test_a_scorer_that_cannot_be_loaded_says_so(tmp_path: Path) -> None:
    load = partial(PairScorer.load, tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="nothing/cookbook.json"):
        list(logits_of_parts(load, [pairs_of(2), pairs_of(3)], processes=2))


def killed() -> PairScorer:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@pytest.mark.parametrize(
    "ask",
    [
        lambda: taught("random_encoder", TWO),
        lambda: list(logits_of_parts(scorer_to_ask, [pairs_of(2)] * 2, processes=2)),
    ],
)
def test_more_processes_than_gpus_are_refused(
    ask: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(CookbookError, match="came 2 processes for 1. Set COOKBOOK_PROCESSES"):
        ask()
