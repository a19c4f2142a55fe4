"""Number formats: bfloat16 only where the processor multiplies it fast."""

import pytest
import torch

from tasks.core.training import precision
from tasks.core.training.precision import autocast, compute_dtype

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"avx512_bf16", "avx2"}, torch.bfloat16),
        ({"amx_bf16"}, torch.bfloat16),
        ({"avx512f", "avx2", "bf16_emulated"}, torch.float32),
        (set(), torch.float32),
    ],
)
def test_a_processor_computes_in_bfloat16_only_if_it_says_so(
    flags: set[str], expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "cpu_flags", lambda: frozenset(flags))
    assert compute_dtype(CPU) == expected
    with autocast(CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == expected


def test_a_gpu_computes_in_bfloat16_whatever_the_processor() -> None:
    assert compute_dtype(torch.device("cuda")) == torch.bfloat16
