"""The loop: it learns, survives kills bit for bit, skips broken steps, cuts without a trace."""

import gc
import json
import math
import os
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tasks.core.errors import CookbookError
from tasks.core.inputs import PairText
from tasks.core.training import precision
from tasks.core.training.architecture import head_name
from tasks.core.training.base_models import Source
from tasks.core.training.broken_steps import MAX_SKIPPED_IN_A_ROW, StepWatch
from tasks.core.training.loop import (
    Examples,
    Optimization,
    Targets,
    TrainingReport,
    learning_rate_factor,
    train,
)
from tasks.core.training.losses import grade_cross_entropy, listwise_kl
from tasks.core.training.scorer import PairScorer, grade_probabilities
from tests.core.training.tiny import FAMILIES, WORDS, pairs_of, tiny_scorer

OPTIMIZATION = Optimization(
    epochs=1, learning_rate=1e-3, head_learning_rate=1e-3, rows_per_step=4, list_size=4
)


def examples_of(scorer: PairScorer, count: int = 24) -> Examples:
    grades = torch.eye(3)[torch.arange(count) % 3]
    groups = np.arange(count) // 4
    targets = {"grades": grades, "query": torch.from_numpy(groups)}
    return Examples(scorer.tokenize(pairs_of(count)), groups, targets)


def cross_entropy(logits: Tensor, batch: Targets) -> Tensor:
    return grade_cross_entropy(logits[:, :3], batch["grades"], weights=torch.ones(len(logits)))


@pytest.mark.parametrize("source", FAMILIES)
def test_a_tiny_model_learns_what_separates_grades(source: Source) -> None:
    """Grade 2 with 'pilot', else 0: a constant costs ln 2 a pair and is right half of the time."""

    def data(count: int, seed: int) -> tuple[list[PairText], Tensor]:
        generator = np.random.default_rng(seed)
        good = generator.random(count) < 0.5
        words = [generator.choice(WORDS[2:]) for _ in range(count)]
        pairs = [
            PairText("job", f"{'pilot' if yes else 'nurse'} {word}")
            for yes, word in zip(good, words, strict=True)
        ]
        return pairs, torch.eye(3)[torch.from_numpy(2 * good.astype(np.int64))]

    scorer = tiny_scorer(source)
    pairs, grades = data(160, seed=0)
    examples = Examples(scorer.tokenize(pairs), np.arange(160), {"grades": grades})
    optimization = Optimization(
        epochs=8, learning_rate=3e-3, head_learning_rate=1e-2, rows_per_step=16
    )
    train(scorer, examples, cross_entropy, optimization)
    unseen, truth = data(80, seed=1)
    probabilities = grade_probabilities(scorer.logits(unseen), 3)
    cost = -np.log((probabilities * truth.numpy()).sum(axis=1)).mean()
    assert cost < 0.2 * math.log(2)


# Imports once, then forks a child for every attempt: the parent itself never computes.
SWEEP = """
import hashlib, json, os, signal, sys, tempfile
from pathlib import Path
import numpy as np
import torch
from tasks.core.training.loop import Optimization
from tasks.core.training.teachers import Lora, train_click_teacher
from tests.core.training.tiny import pairs_of, tiny_scorer

torch.set_num_threads(1)
source, plans = sys.argv[1], json.loads(sys.argv[2])

def attempt(folder, kill_at):
    scorer = tiny_scorer(source, actions=("clicked",))
    clicks = (np.arange(24) % 3 == 0).astype(float)[:, None]
    def progress(step, steps):
        if step == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
    train_click_teacher(
        scorer, pairs_of(24), clicks, np.ones((24, 1)), np.arange(24) // 4,
        Optimization(epochs=1.5, learning_rate=1e-2, head_learning_rate=1e-2, rows_per_step=4,
                     list_size=4, checkpoint_every_steps=2),
        lora=Lora(2, 4) if source == "random_decoder" else None,
        checkpoints=folder / "scratch", progress=progress)
    digest = hashlib.sha256()
    for name, value in sorted(scorer.model.state_dict().items()):
        digest.update(value.numpy().tobytes())
    (folder / "digest").write_text(digest.hexdigest())

results = []
for plan in plans:
    folder = Path(tempfile.mkdtemp(dir="."))
    (folder / "scratch").mkdir()
    for kill_at in [*plan, None]:
        child = os.fork()
        if not child:
            attempt(folder, kill_at)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status == (0 if kill_at is None else -signal.SIGKILL), (plan, kill_at, status)
    results.append((folder / "digest").read_text())
print(json.dumps(results))
"""


@pytest.mark.parametrize(
    ("source", "plans"),
    [
        # Nine steps, six of them an epoch; a checkpoint after every second one.
        ("random_decoder", [[], *([step] for step in range(1, 8)), [2, 5], [3, 4]]),
        ("random_encoder", [[], [3], [1, 5]]),
    ],
)
def test_killed_at_any_step_the_final_weights_are_bitwise_equal(
    source: Source, plans: list[list[int]], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SWEEP, source, json.dumps(plans)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    digests = json.loads(done.stdout)
    assert len(digests) == len(plans)
    assert len(set(digests)) == 1


def states(scorer: PairScorer) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in scorer.model.state_dict().items()}


def changed_names(before: dict[str, Tensor], scorer: PairScorer) -> set[str]:
    now = scorer.model.state_dict()
    return {name for name, value in before.items() if not torch.equal(value, now[name])}


def infinite_gradient(logits: Tensor) -> Tensor:
    """Zero with an infinite slope: the loss looks healthy, and the weights would not be."""
    return (logits - logits.detach()).abs().sum().sqrt()


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (lambda z: z.sum() * math.nan, "the loss is nan"),
        (lambda z: z.sum() * math.inf, "the loss is -?inf"),
        (infinite_gradient, "the gradient's norm is nan, at a loss of 0"),
    ],
)
def test_a_broken_step_moves_no_weight_and_too_many_stop_the_run(
    broken: Callable[[Tensor], Tensor], fault: str
) -> None:
    scorer = tiny_scorer("random_decoder")
    before = states(scorer)
    calls: list[int] = []

    def loss(logits: Tensor, batch: Targets) -> Tensor:
        calls.append(len(logits))
        return broken(logits)

    with pytest.raises(
        CookbookError, match=f"6 steps in a row had none such; of the last, {fault}"
    ):
        train(scorer, examples_of(scorer), loss, OPTIMIZATION)
    assert len(calls) == MAX_SKIPPED_IN_A_ROW + 1
    assert not changed_names(before, scorer)


def test_one_broken_step_is_skipped_and_counted() -> None:
    scorer = tiny_scorer("random_decoder")
    calls: list[int] = []

    def loss(logits: Tensor, batch: Targets) -> Tensor:
        calls.append(len(logits))
        return cross_entropy(logits, batch) * (math.nan if len(calls) == 2 else 1.0)

    report = train(scorer, examples_of(scorer), loss, OPTIMIZATION)
    assert (report.steps, report.skipped_steps) == (6, 1)
    assert math.isfinite(report.last_loss)
    assert all(value.isfinite().all() for value in states(scorer).values())


def test_a_spike_is_skipped() -> None:
    scorer = tiny_scorer("random_decoder")
    calls: list[int] = []

    def loss(logits: Tensor, batch: Targets) -> Tensor:
        calls.append(len(logits))
        return cross_entropy(logits, batch) * (1000.0 if len(calls) == 24 else 1.0)

    optimization = Optimization(
        epochs=5, learning_rate=1e-4, head_learning_rate=1e-4, rows_per_step=4, list_size=4
    )
    assert train(scorer, examples_of(scorer), loss, optimization).skipped_steps == 1


def spiking(spikes: set[int]) -> TrainingReport:
    """Trained for 60 steps, of which these have a thousand times their loss."""
    scorer, calls = tiny_scorer("random_decoder"), iter(range(1, 61))

    def loss(logits: Tensor, batch: Targets) -> Tensor:
        return cross_entropy(logits, batch) * (1000.0 if next(calls) in spikes else 1.0)

    optimization = Optimization(
        epochs=10, learning_rate=1e-4, head_learning_rate=1e-4, rows_per_step=4, list_size=4
    )
    return train(scorer, examples_of(scorer), loss, optimization)


def test_a_rare_click_is_no_spike_however_small_the_losses_between() -> None:
    """Batches without a click bring the mean down; one with it loses what the first step did."""
    watch = StepWatch()
    assert watch.passes(1, 0.7, 1.0)
    assert all(watch.passes(step, 0.003, 1.0) for step in range(2, 400))
    assert watch.mean_loss < 0.7 / 20
    assert watch.passes(400, 1.3, 1.0)
    assert not watch.passes(401, 20 * 0.71, 1.0)


def test_skipped_steps_far_apart_do_not_end_a_run() -> None:
    spikes = set(range(24, 60, 3))
    assert len(spikes) > MAX_SKIPPED_IN_A_ROW + 1
    assert spiking(spikes).skipped_steps == len(spikes)


def test_spikes_in_a_row_end_a_run_and_are_called_spikes() -> None:
    with pytest.raises(CookbookError, match="of the last, the loss .* is over 20 times the usual"):
        spiking(set(range(24, 40)))


@pytest.mark.parametrize("source", FAMILIES)
def test_chunks_by_token_budget_change_no_gradient(source: Source) -> None:
    """Of a loss over the whole step: a mean of the chunks' own means would be another one."""

    def gradients(tokens_per_batch: int) -> tuple[dict[str, Tensor], int]:
        scorer = tiny_scorer(source)
        found: dict[str, Tensor] = {}
        slots: list[int] = []
        for name, parameter in scorer.model.named_parameters():
            parameter.register_post_accumulate_grad_hook(
                lambda p, name=name: found.__setitem__(name, p.grad.clone())
            )
        scorer.model.get_input_embeddings().register_forward_pre_hook(
            lambda _, inputs: slots.append(inputs[0].numel())
        )

        def loss(logits: Tensor, batch: Targets) -> Tensor:
            teacher = 3 * batch["grades"][:, 0]
            listwise = listwise_kl(logits[:, 1], teacher, batch["query"], temperature=1.0)
            return cross_entropy(logits, batch) + listwise

        one_step = Optimization(
            epochs=1,
            learning_rate=1e-3,
            head_learning_rate=1e-3,
            rows_per_step=24,
            list_size=4,
            tokens_per_batch=tokens_per_batch,
        )
        train(scorer, examples_of(scorer), loss, one_step)
        return found, max(slots)

    whole, all_slots = gradients(100_000)
    cut, most_slots = gradients(150)
    assert most_slots <= 150 < all_slots
    assert max(float(value.abs().max()) for value in whole.values()) > 1e-3
    for name, value in whole.items():
        torch.testing.assert_close(cut[name], value, atol=1e-6, rtol=1e-5, msg=name)


@pytest.mark.parametrize("source", FAMILIES)
def test_the_head_learns_at_its_own_rate(source: Source) -> None:
    """With a rate of zero for the rest, the head alone moves."""
    scorer = tiny_scorer(source)
    before = states(scorer)
    optimization = Optimization(
        epochs=1, learning_rate=0.0, head_learning_rate=1e-2, rows_per_step=4
    )
    train(scorer, examples_of(scorer), cross_entropy, optimization)
    head = head_name(scorer.model)
    assert changed_names(before, scorer) == {n for n in before if n.startswith(f"{head}.")}


def test_a_part_of_an_epoch_is_its_first_steps() -> None:
    scorer = tiny_scorer("random_decoder")
    seen: list[int] = []
    optimization = Optimization(
        epochs=1.5, learning_rate=1e-3, head_learning_rate=1e-3, rows_per_step=4, list_size=4
    )
    report = train(
        scorer,
        examples_of(scorer),
        cross_entropy,
        optimization,
        progress=lambda step, steps: seen.append(steps - step),
    )
    assert seen == [8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert (report.steps, report.rows) == (9, 36)


def test_the_rate_by_hand() -> None:
    """Ten steps, two of warm-up: 1/2, 1, then 8/9 down to 1/9, never zero."""
    optimization = Optimization(epochs=1, learning_rate=1, head_learning_rate=1, warmup_share=0.2)
    found = [learning_rate_factor(step, 10, optimization) for step in range(10)]
    assert found == pytest.approx([0.5, 1.0, *(k / 9 for k in range(8, 0, -1))])


def test_training_on_nothing_is_refused() -> None:
    scorer = tiny_scorer("random_decoder")
    nothing = Examples(scorer.tokenize([]), np.zeros(0, dtype=np.int64), {})
    with pytest.raises(CookbookError, match="at least one row"):
        train(scorer, nothing, cross_entropy, OPTIMIZATION)


@pytest.mark.parametrize("fast", [frozenset[str](), frozenset({"avx512_bf16"})])
def test_a_model_that_is_done_with_leaves_its_memory_at_once(
    fast: frozenset[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bfloat16, as on every GPU, too: several models of billions of weights fit on no card."""
    monkeypatch.setattr(precision, "cpu_flags", lambda: fast)
    scorer = tiny_scorer("random_decoder")
    examples = examples_of(scorer, count=4)
    gc.collect()
    gc.disable()
    try:
        train(scorer, examples, cross_entropy, OPTIMIZATION)
        weight = weakref.ref(next(scorer.model.parameters()))
        del scorer
        assert weight() is None
    finally:
        gc.enable()
