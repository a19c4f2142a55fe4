"""AdamW over what trains: the head at a rate of its own, no decay of biases and norms."""

import torch
from torch import nn


def adamw(
    model: nn.Module, *, rate: float, head_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """The fused optimizer; every group keeps its peak rate, from which schedules take shares."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_head = (
                name.split(".")[-2] in {"classifier", "score", "default"} and "lora" not in name
            )
            groups.setdefault((is_head, parameter.ndim > 1), []).append(parameter)
    rates = {True: head_rate, False: rate}
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": rates[is_head],
                "peak_lr": rates[is_head],
                "weight_decay": weight_decay if decays else 0.0,
            }
            for (is_head, decays), parameters in sorted(groups.items(), key=lambda item: item[0])
        ],
        fused=True,
    )
