"""Structured pruning: whole layers and MLP units go, and what stays is refitted.

Unstructured zeros save no time on the hardware that serves; fewer and narrower layers do.

Source: LinkedIn halved every MLP and took the last 8 of 28 layers off Qwen3-0.6B's shape
(arXiv 2502.14305); the importance and the least-squares refit follow OSSCAR's idea of
reconstructing each layer's output (arXiv 2403.12983).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from tasks.core.inputs import PairText
from tasks.core.training.architecture import Mlp, layers, mlp
from tasks.core.training.precision import autocast, device_of
from tasks.core.training.scorer import PairScorer
from tasks.core.training.tokens import chunks_by_tokens, pad

# How far the refit is held to the plain cut, as a share of the mean squared activation.
RIDGE = 1e-3
TOKENS_PER_BATCH = 4096


def keep_layers(model: PreTrainedModel, kept: Sequence[int]) -> None:
    """Keep the layers of these numbers, in this order, in place."""
    stack = layers(model)
    chosen = [stack[index] for index in kept]
    del stack[:]
    stack.extend(chosen)
    for place, layer in enumerate(chosen):
        # A causal layer finds its keys and values in the cache by its own number.
        attention: Any = getattr(layer, "self_attn", None)
        if attention is not None:
            attention.layer_idx = place
    model.config.num_hidden_layers = len(chosen)
    if getattr(model.config, "layer_types", None):
        model.config.layer_types = [model.config.layer_types[index] for index in kept]
    if getattr(model.config, "max_window_layers", None):
        model.config.max_window_layers = len(chosen)


def spread_layers(total: int, kept: int) -> list[int]:
    """``kept`` of ``total`` layer numbers, evenly spread, the first and the last among them.

    ``spread_layers(6, 4) == [0, 2, 3, 5]``: the last layer feeds the head, so it stays.
    """
    if kept == 1:
        return [total - 1]
    return [round(index * (total - 1) / (kept - 1)) for index in range(kept)]


def prune_mlps(scorer: PairScorer, share: float, calibration: Sequence[PairText]) -> None:
    """Keep ``share`` of the units of every MLP, chosen and refitted on calibration pairs.

    Layers are cut in order, so that each is refitted to the inputs it will really get.
    """
    moments = _moments(scorer, calibration)
    cut_mlps(scorer.model, share, lambda _: next(moments))


def cut_mlps(
    model: PreTrainedModel, share: float, second_moments: Callable[[nn.Linear], Tensor]
) -> None:
    """As ``prune_mlps``, the moments (units, units) of each MLP's hidden units handed in.

    It asks only for shapes otherwise, so it also runs on the meta device, without weights.
    """
    width = round(model.config.intermediate_size * share)
    for layer in layers(model):
        part = mlp(model, layer)
        _cut(part, second_moments(part.output), width)
    model.config.intermediate_size = width


@dataclass
class _Batch:
    """A batch between two layers: ``hidden`` (rows, tokens, width), ``real`` (rows, tokens)."""

    hidden: Tensor
    real: Tensor
    # What each layer is called with beside the hidden states.
    calls: dict[nn.Module, tuple[tuple[Any, ...], dict[str, Any]]]

    @torch.inference_mode()
    def through(self, layer: nn.Module) -> Tensor:
        args, options = self.calls[layer]
        with autocast(self.hidden.device):
            found: Tensor = layer(self.hidden, *args, **options)
        return found


def _moments(scorer: PairScorer, pairs: Sequence[PairText]) -> Iterator[Tensor]:
    """Second moments of each MLP's hidden units over real tokens: (units, units), float64.

    A layer runs for its moments, and once more, by then cut, for what the next one reads. Memory
    holds one layer's moments and what all batches are between two layers.
    """
    batches = list(_batches(scorer, pairs))
    for layer in layers(scorer.model):
        yield _gram(layer, mlp(scorer.model, layer).output, batches)
        for batch in batches:
            batch.hidden = batch.through(layer)


def _gram(layer: nn.Module, output: nn.Linear, batches: Sequence[_Batch]) -> Tensor:
    shape = (output.in_features, output.in_features)
    total = torch.zeros(shape, dtype=torch.float64, device=output.weight.device)
    real = iter([batch.real for batch in batches])

    def record(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        units = inputs[0].detach()[next(real)].double()
        total.addmm_(units.T, units)

    hook = output.register_forward_pre_hook(record)
    try:
        for batch in batches:
            batch.through(layer)
    finally:
        hook.remove()
    return total


def _batches(scorer: PairScorer, pairs: Sequence[PairText]) -> Iterator[_Batch]:
    """Before the first layer; each pair whole, so that a shared beginning counts as in service."""
    model = scorer.model.train(False)
    device = device_of(model)
    stack = layers(model)
    hidden: list[Tensor] = []
    calls: dict[nn.Module, tuple[tuple[Any, ...], dict[str, Any]]] = {}

    def record(layer: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        if layer is stack[0]:
            hidden.append(args[0])
        calls[layer] = (args[1:], options)

    hooks = [layer.register_forward_pre_hook(record, with_kwargs=True) for layer in stack]
    tokens = scorer.tokenize(pairs)
    try:
        for rows in chunks_by_tokens(tokens.lengths, TOKENS_PER_BATCH):
            inputs = pad(tokens, rows, scorer.tokenizer, device)
            with torch.inference_mode(), autocast(device):
                # A cache would hold this run's keys when a layer runs again.
                model(**inputs, use_cache=False)
            yield _Batch(hidden.pop(), inputs["attention_mask"].bool(), dict(calls))
    finally:
        for hook in hooks:
            hook.remove()


def _cut(part: Mlp, gram: Tensor, width: int) -> None:
    """Keep the units that carry most of the output's energy; refit the output on them.

    The refit minimizes the squared error of the output plus a pull towards the plain cut, so
    that a unit which calibration never lit keeps its weight, and cutting nothing changes nothing.
    """
    weight = part.output.weight.detach().double()
    importance = gram.diagonal() * weight.square().sum(dim=0)
    kept = importance.topk(width).indices.sort().values
    pull = RIDGE * gram.diagonal()[kept].mean()
    inner = gram[kept][:, kept] + pull * torch.eye(width, dtype=gram.dtype, device=gram.device)
    refit = torch.linalg.solve(inner, gram[kept] @ weight.T + pull * weight.T[kept]).T
    with torch.no_grad():
        for linear in part.inputs:
            linear.weight = nn.Parameter(linear.weight[kept].clone())
            if linear.bias is not None:
                linear.bias = nn.Parameter(linear.bias[kept].clone())
            linear.out_features = width
        part.output.weight = nn.Parameter(refit.to(part.output.weight).contiguous())
        part.output.in_features = width
