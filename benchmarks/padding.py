"""Training steps of packed rows beside the same steps of plain transformers, whose rows are padded.

    OMP_NUM_THREADS=1 python -m benchmarks.padding

Encoder: MiniLM of seven layers with adapters, on 20 rows of 80 tokens, as the laptop's, and on 32
of log-normal length. Causal: a Qwen3 of four layers with random weights, on the latter. Logits and
the loss's gradient are equal; times are CPU seconds, forward and backward, turn by turn.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerBase

from benchmarks.contest import finish
from benchmarks.published_shapes import qwen3
from flows.profiles import EMBEDDED
from tasks.core.training.architecture import with_lora
from tasks.core.training.base_models import BaseModel, byte_tokenizer, new_scorer
from tasks.core.training.passes import Forward
from tasks.core.training.scorer import InputTemplate, Outputs
from tasks.core.training.tokens import Rows, Tokenized, pad

CPU = torch.device("cpu")
EVEN = np.full(20, 80)


def log_normal(longest: int) -> Rows:
    """32 lengths of median 150, sigma 0.7, longest first, as passes are planned."""
    drawn = np.exp(np.random.default_rng(0).normal(np.log(150), 0.7, 32))
    return np.sort(np.clip(drawn, 12, longest).astype(np.int64))[::-1]


def rows_of(lengths: Rows, vocabulary: int, *, segmented: bool) -> Tokenized:
    """Rows of these lengths, of which the first tenth is the query's, own to each."""
    generator = np.random.default_rng(1)
    ids = [generator.integers(1, vocabulary, length).astype(np.int32) for length in lengths]
    return Tokenized(ids, np.maximum(1, lengths // 10), segmented)


def encoder() -> tuple[nn.Module, PreTrainedTokenizerBase]:
    base = BaseModel(EMBEDDED.source, EMBEDDED.name)
    scorer = new_scorer(base, Outputs(5, ("clicked",)), InputTemplate(512), seed=0)
    return with_lora(scorer.model, rank=16, alpha=32), scorer.tokenizer


def decoder() -> tuple[nn.Module, PreTrainedTokenizerBase]:
    torch.manual_seed(0)
    config = qwen3(512, 1536, 4, vocabulary=300, heads=(8, 4), width=64)
    config.num_labels, config.pad_token_id = 6, 0
    return AutoModelForSequenceClassification.from_config(config), byte_tokenizer()


def step(model: nn.Module, logits_of: Callable[[], Tensor]) -> tuple[float, Tensor, list[Tensor]]:
    """CPU seconds of a step, its logits and its gradients."""
    began = time.process_time()
    logits = logits_of()
    logits.square().sum().backward()  # type: ignore[no-untyped-call]
    seconds = time.process_time() - began
    found = [one.grad.clone() for one in model.parameters() if one.grad is not None]
    model.zero_grad()
    return seconds, logits.detach(), found


def contest(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, tokens: Tokenized, turns: int
) -> dict[str, float]:
    """Seconds of the padded step over ours, in the same turn."""
    model.train()
    rows, forward = np.arange(len(tokens)), Forward(model, tokenizer)  # type: ignore[arg-type]

    def padded() -> Tensor:
        logits: Tensor = model(**pad(tokens, rows, tokenizer, CPU)).logits
        return logits

    def packed() -> Tensor:
        with forward.attention():
            logits: Tensor = forward(forward.batch(tokens, rows, CPU))
        return logits

    ratios = []
    for _ in range(turns + 1):
        theirs, ours = step(model, padded), step(model, packed)
        torch.testing.assert_close(ours[1], theirs[1], atol=1e-4, rtol=1e-4)
        for one, other in zip(ours[2], theirs[2], strict=True):
            scale = max(1.0, float(other.abs().max()))
            torch.testing.assert_close(one / scale, other / scale, atol=1e-4, rtol=0)
        ratios.append(theirs[0] / ours[0])
    counted = ratios[1:]  # the first turn warms up
    return {"median": statistics.median(counted), "low": min(counted), "high": max(counted)}


def main() -> None:
    """Print the table, then one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--turns", type=int, default=5)
    chosen = parser.parse_args()
    uneven = log_normal(512)
    steps = {
        "encoder_20_rows_of_80": (encoder, rows_of(EVEN, 20_000, segmented=True)),
        "encoder_32_log_normal": (encoder, rows_of(uneven, 20_000, segmented=True)),
        "causal_32_log_normal": (decoder, rows_of(log_normal(1024), 250, segmented=False)),
    }
    ratios = {
        name: {"examples_per_second": contest(*make(), tokens, chosen.turns)}
        for name, (make, tokens) in steps.items()
    }
    shares = {
        f"{name}_real_tokens_per_padded_slot": float(tokens.lengths.mean() / tokens.lengths.max())
        for name, (_, tokens) in steps.items()
    }
    finish("padding", ratios, shares, {})


if __name__ == "__main__":
    main()
