"""Number formats: bfloat16 where the processor multiplies it fast, float32 elsewhere.

On processors without avx512_bf16 or AMX, bfloat16 is 44 to 499 times slower than float32
(pytorch issue 146508), so the processor is asked, not hoped for.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

_FAST_BF16_FLAGS = {"avx512_bf16", "amx_bf16"}


@cache
def cpu_flags() -> frozenset[str]:
    """Feature flags of the processor, empty where the system does not tell."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return frozenset()
    lines = [line for line in text.splitlines() if line.startswith("flags")]
    return frozenset(lines[0].split()) if lines else frozenset()


def compute_dtype(device: torch.device) -> torch.dtype:
    """The format of matrix products on the device; weights stay float32 while they train."""
    fast = device.type == "cuda" or bool(_FAST_BF16_FLAGS & cpu_flags())
    return torch.bfloat16 if fast else torch.float32


def hold_weights(model: nn.Module, dtype: torch.dtype) -> None:
    """Turn the weights into this format, and nothing else.

    A causal model keeps the frequencies of its rotary positions beside its weights. In bfloat16 the
    thousandth token would stand a radian from where it stood in training, whose frequencies are
    float32's.
    """
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)


def frozen_matrices(model: nn.Module) -> list[Tensor]:
    """The weights of linear maps that do not train, as those under adapters."""
    linear = (module for module in model.modules() if isinstance(module, nn.Linear))
    return [module.weight for module in linear if not module.weight.requires_grad]


@contextmanager
def frozen_matrices_in(model: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """Inside, matrices that do not train lie in this format; afterwards they are what they were.

    Nothing is computed otherwise: products turn them into ``compute_dtype`` anyway, for each pass
    anew, and the backward pass keeps what they were turned into beside them. Of 6.5 billion
    weights that would be 39 GB on the card instead of 13.
    """
    frozen = [weight for weight in frozen_matrices(model) if weight.dtype != dtype]
    whole = [weight.data.cpu() for weight in frozen]
    for weight in frozen:
        weight.data = weight.data.to(dtype)
    try:
        yield
    finally:
        for weight, before in zip(frozen, whole, strict=True):
            weight.data = before.to(weight.device)


def plain_attention_trains_faster(device: torch.device) -> bool:
    """Whether to train with attention written out instead of torch's fused kernel.

    In bfloat16 on a CPU the fused kernel's backward pass takes 39% of a training step: without it
    a step of MiniLM at 80 tokens is 1.4 times as fast. In float32 the fused one is as fast at 80
    tokens and 1.1 times at 256, over shared prefixes 1.24 times. On a GPU it wins both ways.
    """
    return device.type == "cpu" and compute_dtype(device) == torch.bfloat16


def autocast(device: torch.device) -> AbstractContextManager[None]:
    """Matrix products in ``compute_dtype``."""
    dtype = compute_dtype(device)
    return torch.autocast(device.type, dtype, enabled=dtype == torch.bfloat16)


def scoring_slots(device: torch.device) -> int:
    """Tokens of one pass that scores: what a processor's cache holds, or what fills a card.

    Of 4,096 tokens a 0.4B model leaves most of a card idle; 16,384 take 2 GB beside a 7B model in
    bfloat16 (three arrays of its MLP's 18,944 units).
    """
    return 4_096 if device.type == "cpu" else 16_384


def device_of(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def best_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
