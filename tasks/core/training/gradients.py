"""The gradient of one step, by passes that fit in memory and by processes that share them."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import Tensor, nn

from tasks.core.training.tokens import Rows


@dataclass(frozen=True)
class StepGradient:
    """Logits of a pass, and the loss of all logits of a step, in the order of its passes.

    ``logits_of`` must go through ``model``, the one that the accelerator prepared.
    """

    accelerator: Accelerator
    model: nn.Module
    logits_of: Callable[[Rows], Tensor]
    loss_of: Callable[[Tensor, Rows], Tensor]

    def backward(self, passes: list[Rows]) -> float:
        """Add the gradients of the step's mean loss to the weights; returns the loss.

        The loss may compare any rows of the step, so it needs all logits at once. Where a
        process has several passes, they first run without a graph; then each runs again and
        takes its share of the gradient: memory is one pass's, for one more forward. Several
        processes tell each other their logits, so that all see the loss of the whole step.
        """
        numbers = self._own_numbers(len(passes))
        once = len(numbers) == 1
        # A number past the last stands for no pass: another process's is computed for nothing.
        share = [passes[number % len(passes)] for number in numbers]
        with torch.set_grad_enabled(once):
            parts = [self.logits_of(rows) for rows in share]
        logits = self._everyones(passes, numbers, parts).requires_grad_()
        loss = self.loss_of(logits, np.concatenate(passes))
        (gradient,) = torch.autograd.grad(loss, logits)
        slices = torch.split(gradient, [len(rows) for rows in passes])
        for number, rows, part in zip(numbers, share, parts, strict=True):
            own = slices[number] if number < len(slices) else torch.zeros_like(part)
            self._spread(None if once else rows, part, own, is_last=number == numbers[-1])
        # To the bit the same for all, who decide by it whether the step is broken.
        value = loss.detach()
        return float(broadcast(value) if self.accelerator.num_processes > 1 else value)

    def _own_numbers(self, n_passes: int) -> range:
        """The passes of this process: each process has equally many, or they would wait."""
        world = self.accelerator.num_processes
        rounds = -(-n_passes // world)
        return range(self.accelerator.process_index, rounds * world, world)

    def _everyones(self, passes: list[Rows], numbers: range, parts: list[Tensor]) -> Tensor:
        """All logits of the step, (rows, outputs), in the order of its passes."""
        ends = np.cumsum([len(rows) for rows in passes])
        logits = torch.zeros(ends[-1], parts[0].shape[1], device=parts[0].device)
        for number, part in zip(numbers, parts, strict=True):
            if number < len(passes):
                logits[ends[number] - len(part) : ends[number]] = part.detach().float()
        if self.accelerator.num_processes > 1:
            logits = self.accelerator.reduce(logits, "sum")
        return logits

    def _spread(self, rows: Rows | None, part: Tensor, gradient: Tensor, *, is_last: bool) -> None:
        """Carry a pass's share back to the weights; processes add up theirs at the last pass."""
        # Processes average their gradients, and the step wants the sum.
        scale = float(self.accelerator.num_processes)
        with nullcontext() if is_last else self.accelerator.no_sync(self.model):
            again = part if rows is None else self.logits_of(rows)
            self.accelerator.backward(again, gradient=scale * gradient.to(again.dtype))
