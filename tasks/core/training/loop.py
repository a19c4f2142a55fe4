"""The one training loop: every trained role runs it, with its loss handed in as a function.

It is not transformers' Trainer: exact resume, batches by token budget and losses over a
query's candidates need the loop in hand. Accelerate places the model and scales out.
"""

import copy
import logging
import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
from accelerate import Accelerator
from accelerate.utils.memory import should_reduce_batch_size
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tasks.core.errors import CookbookError
from tasks.core.store.faults import fault_point
from tasks.core.training.architecture import layers, plain_model
from tasks.core.training.batches import Rows, epoch_batches
from tasks.core.training.broken_steps import StepWatch
from tasks.core.training.checkpoints import load_checkpoint, save_checkpoint
from tasks.core.training.gradients import StepGradient
from tasks.core.training.optimizer import adamw
from tasks.core.training.passes import Forward
from tasks.core.training.placement import find_devices, place, take_over, whole
from tasks.core.training.precision import autocast, compute_dtype, frozen_matrices_in
from tasks.core.training.tokens import Tokenized

logger = logging.getLogger(__name__)

Targets = dict[str, Tensor]
Loss = Callable[[Tensor, Targets], Tensor]
Progress = Callable[[int, int], None]


class Trainable(Protocol):
    """What is trained: a scorer, or a language model before it becomes one."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


@dataclass(frozen=True)
class Examples:
    """Rows to train on: tokens, the group (query) of each row, and targets of shape (rows, ...)."""

    tokens: Tokenized
    groups: Rows
    targets: Targets


@dataclass(frozen=True)
class Optimization:
    """How to train. Rates are per step; ``checkpoint_every_steps`` 0 means never.

    ``processes`` share the rows of each step out, with ``split_weights`` the weights as well.
    Neither changes what is learned, beyond rounding.
    """

    epochs: float
    learning_rate: float
    head_learning_rate: float
    rows_per_step: int = 32
    list_size: int = 16
    warmup_share: float = 0.1
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    tokens_per_batch: int = 4096
    checkpoint_every_steps: int = 100
    seed: int = 0
    processes: int = 1
    split_weights: bool = False


@dataclass(frozen=True)
class TrainingReport:
    """What happened: ``rows`` counts each epoch's rows anew."""

    steps: int
    rows: int
    skipped_steps: int
    first_loss: float
    last_loss: float


def train(
    scorer: Trainable,
    examples: Examples,
    loss: Loss,
    optimization: Optimization,
    *,
    checkpoints: Path | None = None,
    progress: Progress | None = None,
    forward_class: type[Forward] = Forward,
) -> TrainingReport:
    """Train the scorer's trainable parameters in place; ``forward_class`` makes its logits.

    The learning rate warms up linearly, then falls linearly to zero. Killed at any step and
    called again with the same arguments, it ends with the same weights, bit for bit on a CPU.

    Raises:
        CookbookError: there is nothing to train on, step after step is broken, a row does not fit
            into memory, or accelerate is configured to split the model.
    """
    if not len(examples.tokens):
        raise CookbookError("Training needs at least one row with a target, and none came.")
    torch.manual_seed(optimization.seed)
    accelerator = find_devices()
    scorer.model.train()
    splits = optimization.split_weights and accelerator.num_processes > 1
    # What is split does not become whole again in place, so that a copy is split and trained.
    trained = copy.deepcopy(scorer.model) if splits else scorer.model
    forward = forward_class(trained, scorer.tokenizer)
    schedule = _schedule(examples.groups, optimization)
    slots = optimization.tokens_per_batch
    dtype = compute_dtype(accelerator.device)
    frozen = nullcontext() if splits else frozen_matrices_in(trained, dtype)
    with frozen, forward.attention():
        model = place(forward, accelerator, splits=splits)
        optimizer = adamw(
            trained,
            rate=optimization.learning_rate,
            head_rate=optimization.head_learning_rate,
            weight_decay=optimization.weight_decay,
        )
        run = _Run(
            accelerator, model, optimizer, trained, examples, loss, optimization, forward, slots
        )
        if checkpoints is not None:
            run.resume(checkpoints)
        try:
            run.train_steps(schedule, checkpoints, progress)
        finally:
            recompute_layers(trained, on=False)
        if splits:
            take_over(trained, scorer.model)
    scorer.model.train(False)
    return run.report(sum(len(rows) for rows in schedule))


def recompute_layers(model: PreTrainedModel, *, on: bool) -> None:
    """Gradient checkpointing: keep each layer's input alone, and compute the rest anew backward."""
    for layer in layers(plain_model(model)):
        # What transformers' own switch sets; that one has another name from release to release.
        vars(layer)["_gradient_checkpointing_func"] = partial(checkpoint, use_reentrant=False)
        vars(layer)["gradient_checkpointing"] = on


def learning_rate_factor(step: int, steps: int, optimization: Optimization) -> float:
    """Share of the peak learning rate at a step: linear up, then linear down to nearly zero."""
    warmup = max(1, math.ceil(steps * optimization.warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    return (steps - step) / max(1, steps - warmup + 1)


@dataclass
class _Run:
    """The state of one training: what a checkpoint holds, and one step of it."""

    accelerator: Accelerator
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    trained: PreTrainedModel
    examples: Examples
    loss: Loss
    optimization: Optimization
    plan: Forward
    slots: int
    step: int = 0
    recomputes: bool = False
    watch: StepWatch = field(default_factory=StepWatch)

    def resume(self, folder: Path) -> None:
        state = load_checkpoint(folder, self.trained, self.optimizer)
        if state is not None:
            self.step, self.slots = state["step"], state["slots"]
            self.watch = StepWatch(**state["watch"])
            logger.info("Training goes on at step %d.", self.step)

    def save(self, folder: Path) -> None:
        state = {"step": self.step, "slots": self.slots, "watch": asdict(self.watch)}
        writes = self.accelerator.is_main_process
        save_checkpoint(folder, self.trained, self.optimizer, state, writes=writes)

    def train_steps(
        self, schedule: list[Rows], checkpoints: Path | None, progress: Progress | None
    ) -> None:
        every = self.optimization.checkpoint_every_steps
        for step in range(self.step, len(schedule)):
            rate_factor = learning_rate_factor(step, len(schedule), self.optimization)
            self.train_step(schedule[step], rate_factor)
            fault_point("training:step")
            if checkpoints is not None and _due(self.step, every):
                self.save(checkpoints)
            if progress is not None and self.accelerator.is_main_process:
                progress(self.step, len(schedule))

    def train_step(self, rows: Rows, rate_factor: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak_lr"] * rate_factor
        value = self._backward(rows)
        self.step += 1
        largest = self.optimization.max_grad_norm
        norm = float(whole(self.accelerator.clip_grad_norm_(self.model.parameters(), largest)))
        if self.watch.passes(self.step, value, norm):
            self.optimizer.step()
        self.optimizer.zero_grad()

    def _backward(self, rows: Rows) -> float:
        """Gradients of the step's mean loss; returns the loss.

        Out of memory, passes become half as large and the step starts anew: the effective
        batch stays, and with it what is learned. Last, activations are computed twice.
        """
        while True:
            try:
                return self._gradient().backward(self._passes(rows))
            except RuntimeError as error:
                if not should_reduce_batch_size(error):
                    raise
                self.optimizer.zero_grad()
                self._save_memory(rows, error)

    def _gradient(self) -> StepGradient:
        return StepGradient(self.accelerator, self.model, self._logits, self._loss)

    def _passes(self, rows: Rows) -> list[Rows]:
        """Passes within the budget, and one a process at least where there are rows enough."""
        processes = self.accelerator.num_processes
        return self.plan.plan(self.examples.tokens, rows, self.slots, at_least=processes)

    def _save_memory(self, rows: Rows, error: RuntimeError) -> None:
        longest = int(self.examples.tokens.take(rows).lengths.max())
        alone = self.accelerator.num_processes == 1
        if alone and self.slots > longest:
            self.slots = max(longest, self.slots // 2)
            logger.warning("Out of memory: a pass has %d token slots from here on.", self.slots)
        elif alone and not self.recomputes:
            self.recomputes = True
            recompute_layers(self.trained, on=True)
            logger.warning(
                "Out of memory with a single row a pass: gradient checkpointing is on from here "
                "on, so every layer is computed twice."
            )
        else:
            why = (
                f"they can be no smaller (a row has {longest}, and gradient checkpointing is on)"
                if alone
                else "with several processes they stay as they are (a single one would halve them)"
            )
            raise CookbookError(
                f"Training needs more memory than there is for passes of {self.slots} token "
                f"slots, and {why}. Lower tokens_per_batch or max_tokens."
            ) from error

    def _logits(self, rows: Rows) -> Tensor:
        batch = self.plan.batch(self.examples.tokens, rows, self.accelerator.device)
        with autocast(self.accelerator.device):
            logits: Tensor = self.model(batch)
        return logits

    def _loss(self, logits: Tensor, rows: Rows) -> Tensor:
        index = torch.from_numpy(rows)
        targets = {k: v[index].to(logits.device) for k, v in self.examples.targets.items()}
        return self.loss(logits.float(), targets)

    def report(self, rows: int) -> TrainingReport:
        watch = self.watch
        return TrainingReport(self.step, rows, watch.skipped, watch.first_loss, watch.mean_loss)


def _schedule(groups: Rows, optimization: Optimization) -> list[Rows]:
    """Every step's rows; a fraction of an epoch is its first steps."""
    batches: list[Rows] = []
    for epoch in range(math.ceil(optimization.epochs)):
        one = epoch_batches(
            groups,
            rows_per_step=optimization.rows_per_step,
            list_size=optimization.list_size,
            seed=optimization.seed,
            epoch=epoch,
        )
        share = min(1.0, optimization.epochs - epoch)
        batches.extend(one[: max(1, round(share * len(one)))])
    return batches


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
