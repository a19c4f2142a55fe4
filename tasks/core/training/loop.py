"""The one training loop: every trained role runs it, with its loss handed in as a function.

It is not transformers' Trainer: exact resume, batches by token budget and losses over a
query's candidates need the loop in hand. Accelerate places the model and scales out.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from accelerate import Accelerator
from accelerate.utils.memory import should_reduce_batch_size
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tasks.core.errors import CookbookError
from tasks.core.store.faults import fault_point
from tasks.core.training.architecture import use_attention
from tasks.core.training.batches import Rows, epoch_batches
from tasks.core.training.checkpoints import load_checkpoint, save_checkpoint
from tasks.core.training.gradients import StepGradient
from tasks.core.training.optimizer import adamw
from tasks.core.training.passes import Forward
from tasks.core.training.precision import best_device, compute_dtype
from tasks.core.training.tokens import Tokenized

logger = logging.getLogger(__name__)

Targets = dict[str, Tensor]
Loss = Callable[[Tensor, Targets], Tensor]
Progress = Callable[[int, int], None]
# A loss this many times its running mean is a broken batch, not a hard one.
SPIKE_RATIO = 20.0
MAX_SKIPPED_STEPS = 5


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
    """How to train. Rates are per step; ``checkpoint_every_steps`` 0 means never."""

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
        CookbookError: there is nothing to train on, or the loss keeps being no number.
    """
    if not len(examples.tokens):
        raise CookbookError("Training needs at least one row with a target, and none came.")
    torch.manual_seed(optimization.seed)
    accelerator = _accelerator()
    scorer.model.train()
    use_attention(scorer.model, training=True)
    optimizer = adamw(
        scorer.model,
        rate=optimization.learning_rate,
        head_rate=optimization.head_learning_rate,
        weight_decay=optimization.weight_decay,
    )
    forward = forward_class(scorer.model, scorer.tokenizer)
    model, optimizer = accelerator.prepare(forward, optimizer)
    schedule = _schedule(examples.groups, optimization)
    slots = optimization.tokens_per_batch
    run = _Run(accelerator, model, optimizer, scorer, examples, loss, optimization, forward, slots)
    if checkpoints is not None:
        run.resume(checkpoints)
    with forward.attention():
        run.train_steps(schedule, checkpoints, progress)
    scorer.model.train(False)
    use_attention(scorer.model, training=False)
    return run.report(sum(len(rows) for rows in schedule))


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
    scorer: Trainable
    examples: Examples
    loss: Loss
    optimization: Optimization
    plan: Forward
    slots: int
    step: int = 0
    skipped: int = 0
    first_loss: float = math.nan
    mean_loss: float = math.nan

    def resume(self, folder: Path) -> None:
        state = load_checkpoint(folder, self.scorer.model, self.optimizer)
        if state is not None:
            self.step, self.skipped = state["step"], state["skipped"]
            self.first_loss, self.mean_loss = state["first_loss"], state["mean_loss"]
            self.slots = state["slots"]
            logger.info("Training goes on at step %d.", self.step)

    def save(self, folder: Path) -> None:
        if self.accelerator.is_main_process:
            state = {
                "step": self.step,
                "skipped": self.skipped,
                "first_loss": self.first_loss,
                "mean_loss": self.mean_loss,
                "slots": self.slots,
            }
            save_checkpoint(folder, self.scorer.model, self.optimizer, state)

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
        norm = float(self.accelerator.clip_grad_norm_(self.model.parameters(), largest))
        if self._broken(value) or not math.isfinite(norm):
            self._skip(value)
            return
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.first_loss = value if math.isnan(self.first_loss) else self.first_loss
        previous = value if math.isnan(self.mean_loss) else self.mean_loss
        self.mean_loss = 0.98 * previous + 0.02 * value

    def _backward(self, rows: Rows) -> float:
        """Gradients of the step's mean loss; returns the loss.

        Out of memory, passes become half as large and the step starts anew: the effective
        batch stays, and with it what is learned.
        """
        while True:
            try:
                return self._gradient().backward(self._passes(rows))
            except RuntimeError as error:
                if not should_reduce_batch_size(error):
                    raise
                self.optimizer.zero_grad()
                self._halve_passes(rows, error)

    def _gradient(self) -> StepGradient:
        return StepGradient(self.accelerator, self.model, self._logits, self._loss)

    def _passes(self, rows: Rows) -> list[Rows]:
        """Passes within the budget, and one a process at least where there are rows enough."""
        total = int(self.examples.tokens.take(rows).lengths.sum())
        each = -(-total // self.accelerator.num_processes)
        slots = min(self.slots, each) if self.accelerator.num_processes > 1 else self.slots
        return self.plan.plan(self.examples.tokens, rows, slots)

    def _halve_passes(self, rows: Rows, error: RuntimeError) -> None:
        longest = int(self.examples.tokens.take(rows).lengths.max())
        if self.accelerator.num_processes > 1 or self.slots <= longest:
            raise CookbookError(
                f"Training needs more memory than there is for passes of {self.slots} token "
                f"slots, and they can be no shorter (a row has {longest}; with several processes "
                "they stay as they are). Lower tokens_per_batch or max_tokens."
            ) from error
        self.slots = max(longest, self.slots // 2)
        logger.warning("Out of memory: a pass has %d token slots from here on.", self.slots)

    def _logits(self, rows: Rows) -> Tensor:
        batch = self.plan.batch(self.examples.tokens, rows, self.accelerator.device)
        with self.accelerator.autocast():
            logits: Tensor = self.model(batch)
        return logits

    def _loss(self, logits: Tensor, rows: Rows) -> Tensor:
        index = torch.from_numpy(rows)
        targets = {k: v[index].to(logits.device) for k, v in self.examples.targets.items()}
        return self.loss(logits.float(), targets)

    def _broken(self, value: float) -> bool:
        if not math.isfinite(value):
            return True
        return self.step > 20 and value > SPIKE_RATIO * max(self.mean_loss, 1e-3)

    def _skip(self, value: float) -> None:
        self.optimizer.zero_grad()
        self.skipped += 1
        logger.warning("Step %d is skipped: its loss is %s.", self.step, value)
        if self.skipped > MAX_SKIPPED_STEPS:
            raise CookbookError(
                f"Training needs finite losses, and {self.skipped} steps had none (last: {value}). "
                "Lower the learning rate, or look for broken rows in the training data."
            )

    def report(self, rows: int) -> TrainingReport:
        return TrainingReport(self.step, rows, self.skipped, self.first_loss, self.mean_loss)


def _accelerator() -> Accelerator:
    device = best_device()
    mixed = "bf16" if compute_dtype(device) == torch.bfloat16 else "no"
    return Accelerator(mixed_precision=mixed, cpu=device.type == "cpu")


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
