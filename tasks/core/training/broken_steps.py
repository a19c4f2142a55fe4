"""Broken steps: which losses move no weight, and when so many follow each other that training ends.

A single bad batch is stepped over, however many a long run meets. Several in a row are a broken
run: its weights no longer fit its losses, and going on would only look like training.
"""

import logging
import math
from dataclasses import dataclass

from tasks.core.errors import CookbookError

logger = logging.getLogger(__name__)
# A loss this many times what is usual is a broken batch, not a hard one. Usual is the running mean
# or the first loss, whichever is greater: where clicks are rare, a batch that has one loses many
# times as much as those without, which bring the mean down.
SPIKE_RATIO = 20.0
# Steps before the running mean says what is usual.
SPIKES_AFTER = 20
MAX_SKIPPED_IN_A_ROW = 5


@dataclass
class StepWatch:
    """What checkpoints keep of it: steps skipped in all and in a row, first and mean loss."""

    skipped: int = 0
    in_a_row: int = 0
    first_loss: float = math.nan
    mean_loss: float = math.nan

    def passes(self, step: int, loss: float, gradient_norm: float) -> bool:
        """Whether the step may move the weights; one that may not is counted, loudly.

        Raises:
            CookbookError: too many steps in a row were broken; it says in which way the last was.
        """
        fault = self._fault(step, loss, gradient_norm)
        if not fault:
            self.in_a_row = 0
            self.first_loss = loss if math.isnan(self.first_loss) else self.first_loss
            previous = loss if math.isnan(self.mean_loss) else self.mean_loss
            self.mean_loss = 0.98 * previous + 0.02 * loss
            return True
        self.skipped += 1
        self.in_a_row += 1
        logger.warning("Step %d is skipped: %s.", step, fault)
        if self.in_a_row > MAX_SKIPPED_IN_A_ROW:
            raise CookbookError(
                f"Training needs finite losses and gradients without spikes, and {self.in_a_row} "
                f"steps in a row had none such; of the last, {fault}. "
                "Lower the learning rate, or look for broken rows in the training data."
            )
        return False

    def _fault(self, step: int, loss: float, gradient_norm: float) -> str:
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        if not math.isfinite(gradient_norm):
            return f"the gradient's norm is {gradient_norm}, at a loss of {loss:g}"
        usual = max(self.mean_loss, self.first_loss, 1e-3)
        if step > SPIKES_AFTER and loss > SPIKE_RATIO * usual:
            return f"the loss {loss:g} is over {SPIKE_RATIO:g} times the usual one, {usual:g}"
        return ""
