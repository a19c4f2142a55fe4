"""Which layers a smaller scorer keeps: those whose absence would change its outputs most.

Source: removing transformer blocks one by one by what the whole model then loses, not by how a
block's own input and output resemble each other: SLEB, arXiv 2402.09025, section 4.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from tasks.core.inputs import PairText
from tasks.core.training.architecture import layers
from tasks.core.training.losses import action_kl, grade_kl
from tasks.core.training.scorer import PairScorer


def important_layers(scorer: PairScorer, kept: int, calibration: Sequence[PairText]) -> list[int]:
    """``kept`` layer numbers, rising: the least missed one goes, then the next, and so on.

    What is missed is the loss with which distillation would begin: the KL of what the scorer was
    taught, grades and actions or one of both, between the whole scorer and the one without the
    layer, over the calibration pairs. Outputs that nobody taught say nothing of a layer.
    """
    stack = list(layers(scorer.model))
    tokens = scorer.tokenize(calibration)
    whole = torch.from_numpy(scorer.logits_of_tokens(tokens))

    def loss_without(number: int) -> float:
        with _skipped(stack[number]):
            rest = torch.from_numpy(scorer.logits_of_tokens(tokens))
        return _divergence(rest, whole, scorer)

    left = list(range(len(stack)))
    with ExitStack() as gone:
        while len(left) > kept:
            least = min(left, key=loss_without)
            left.remove(least)
            gone.enter_context(_skipped(stack[least]))
    return left


def _divergence(rest: Tensor, whole: Tensor, scorer: PairScorer) -> float:
    grades, loss = scorer.outputs.grade_count, 0.0
    if "grades" in scorer.taught:
        rows = torch.ones(len(whole))
        kl = grade_kl(rest[:, :grades], whole[:, :grades], temperature=1.0, weights=rows)
        loss += float(kl)
    if "actions" in scorer.taught and scorer.outputs.actions:
        actions = rest[:, grades:], whole[:, grades:]
        kl = action_kl(*actions, temperature=1.0, weights=torch.ones_like(actions[0]))
        loss += float(kl)
    return loss


@contextmanager
def _skipped(layer: nn.Module) -> Iterator[None]:
    """The layer hands on what it reads."""
    hook = layer.register_forward_hook(lambda _, inputs, __: inputs[0])
    try:
        yield
    finally:
        hook.remove()
