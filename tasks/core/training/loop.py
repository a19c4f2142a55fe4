"""The one training loop: every trained role runs it, with its loss handed in as a function.

It is not transformers' Trainer: exact resume, batches by token budget and losses over a
query's candidates need the loop in hand. Accelerate places the model and scales out.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from tasks.core.errors import CookbookError
from tasks.core.store.faults import fault_point
from tasks.core.training.architecture import use_attention
from tasks.core.training.batches import Rows, epoch_batches
from tasks.core.training.checkpoints import load_checkpoint, save_checkpoint
from tasks.core.training.precision import best_device, compute_dtype
from tasks.core.training.scorer import PairScorer
from tasks.core.training.tokens import Tokenized, chunks_by_tokens, pad

logger = logging.getLogger(__name__)

Targets = dict[str, Tensor]
Loss = Callable[[Tensor, Targets], Tensor]
Progress = Callable[[int, int], None]
# A loss this many times its running mean is a broken batch, not a hard one.
SPIKE_RATIO = 20.0
MAX_SKIPPED_STEPS = 5


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
    scorer: PairScorer,
    examples: Examples,
    loss: Loss,
    optimization: Optimization,
    *,
    checkpoints: Path | None = None,
    progress: Progress | None = None,
) -> TrainingReport:
    """Train the scorer's trainable parameters in place.

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
    optimizer = _optimizer(scorer.model, optimization)
    model, optimizer = accelerator.prepare(scorer.model, optimizer)
    schedule = _schedule(examples.groups, optimization)
    run = _Run(accelerator, model, optimizer, scorer, examples, loss, optimization)
    if checkpoints is not None:
        run.resume(checkpoints)
    for step in range(run.step, len(schedule)):
        run.train_step(schedule[step], learning_rate_factor(step, len(schedule), optimization))
        fault_point("training:step")
        if checkpoints is not None and _due(run.step, optimization.checkpoint_every_steps):
            run.save(checkpoints)
        if progress is not None:
            progress(run.step, len(schedule))
    scorer.model = accelerator.unwrap_model(model, keep_fp32_wrapper=False)
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
    scorer: PairScorer
    examples: Examples
    loss: Loss
    optimization: Optimization
    step: int = 0
    skipped: int = 0
    first_loss: float = math.nan
    mean_loss: float = math.nan

    def resume(self, folder: Path) -> None:
        state = load_checkpoint(folder, self.scorer.model, self.optimizer)
        if state is not None:
            self.step, self.skipped = state["step"], state["skipped"]
            self.first_loss, self.mean_loss = state["first_loss"], state["mean_loss"]
            logger.info("Training goes on at step %d.", self.step)

    def save(self, folder: Path) -> None:
        if self.accelerator.is_main_process:
            state = {
                "step": self.step,
                "skipped": self.skipped,
                "first_loss": self.first_loss,
                "mean_loss": self.mean_loss,
            }
            save_checkpoint(folder, self.scorer.model, self.optimizer, state)

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

        The loss may compare any rows of the step, so it needs all logits at once. Where they
        are more than one pass, they are first computed without a graph; then each chunk runs
        again and takes its share of the gradient. Memory is one chunk's, for one more forward.
        """
        lengths = self.examples.tokens.take(rows).lengths
        slots = self.optimization.tokens_per_batch
        chunks = [rows[chunk] for chunk in chunks_by_tokens(lengths, slots)]
        if len(chunks) == 1:
            loss_mean = self._loss(self._logits(chunks[0]), chunks[0])
            self.accelerator.backward(loss_mean)
            return float(loss_mean.detach())
        with torch.no_grad():
            logits = torch.cat([self._logits(chunk) for chunk in chunks])
        logits.requires_grad_()
        loss_mean = self._loss(logits, np.concatenate(chunks))
        (gradients,) = torch.autograd.grad(loss_mean, logits)
        parts = torch.split(gradients, [len(chunk) for chunk in chunks])
        for chunk, part in zip(chunks, parts, strict=True):
            self.accelerator.backward(self._logits(chunk), gradient=part)
        return float(loss_mean.detach())

    def _logits(self, rows: Rows) -> Tensor:
        batch = pad(self.examples.tokens, rows, self.scorer.tokenizer, self.accelerator.device)
        with self.accelerator.autocast():
            logits: Tensor = self.model(**batch).logits
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


def _optimizer(model: torch.nn.Module, optimization: Optimization) -> torch.optim.Optimizer:
    """AdamW; the freshly made head learns at its own rate, biases and norms do not decay."""
    groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_head = (
                name.split(".")[-2] in {"classifier", "score", "default"} and "lora" not in name
            )
            groups.setdefault((is_head, parameter.ndim > 1), []).append(parameter)
    rates = {True: optimization.head_learning_rate, False: optimization.learning_rate}
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": rates[is_head],
                "peak_lr": rates[is_head],
                "weight_decay": optimization.weight_decay if decays else 0.0,
            }
            for (is_head, decays), parameters in sorted(groups.items(), key=lambda item: item[0])
        ],
        fused=True,
    )


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
