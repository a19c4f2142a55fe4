"""Every test of this folder computes in float32."""

from tests.core.training.tiny import processor_without_fast_bfloat16

__all__ = ["processor_without_fast_bfloat16"]
