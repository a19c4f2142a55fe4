"""One H100 or H200: training and scoring of the published shapes with random weights.

    python -m benchmarks.gpu            under ten minutes; needs torch, transformers, peft
    python -m benchmarks.gpu --tiny     tiny shapes, to try it out without an accelerator

Before anything is timed, packed and shared-prefix passes must equal whole rows in float32, and
bfloat16 must stay near them. Peers: plain transformers (padded rows, SDPA), and the same with
Liger's kernels where --liger asks for them. Operations counted are the useful ones: no
padding, LoRA 4 a weight and token, full training 6, scoring 2; attention, which both train
through, three times its forward half. MFU divides by the rate of matrix products that this card
reached a moment before.
"""

import argparse
import copy
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from benchmarks.contest import finish
from benchmarks.published_shapes import Shape, published, tiny, training_flops
from tasks.core.training.architecture import freeze_embeddings, with_lora
from tasks.core.training.base_models import byte_tokenizer
from tasks.core.training.passes import Forward
from tasks.core.training.precision import frozen_matrices, hold_weights, scoring_slots
from tasks.core.training.tokens import Tokenized, pad

GRADES = 5
SECONDS = 4.0  # of one measurement, after the first pass
Figures = dict[str, float]


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def build(shape: Shape) -> PreTrainedModel:
    """Random weights, made on the device; all in float32, as training holds them."""
    config = shape.config
    config.num_labels, config.pad_token_id = GRADES, 0
    torch.manual_seed(0)
    with device():
        model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)
    return model


@contextmanager
def fast_products() -> Iterator[None]:
    """bfloat16 products; on a CPU float32, whose bfloat16 may be slow."""
    on_gpu = device().type == "cuda"
    with torch.autocast(device().type, torch.bfloat16, enabled=on_gpu):
        yield


def free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_gib() -> float:
    return torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0


def by_turns(*works: Callable[[], Any], budget: float = SECONDS) -> list[list[float]]:
    """Seconds of each call of each work. They take turns: the card's heat and clock hit all alike.

    At least three turns and the budget for each on average, after one that does not count.
    """
    for work in works:
        work()
    taken: list[list[float]] = [[] for _ in works]
    while len(taken[0]) < 3 or sum(map(sum, taken)) < budget * len(works):
        for work, seconds in zip(works, taken, strict=True):
            _wait()
            started = time.perf_counter()
            work()
            _wait()
            seconds.append(time.perf_counter() - started)
    return taken


def faster(ours: list[float], theirs: list[float]) -> dict[str, float]:
    """Their seconds over ours, turn by turn: above 1 we are faster."""
    found = np.array(theirs) / np.array(ours)
    return {
        "median": float(np.median(found)),
        "low": float(found.min()),
        "high": float(found.max()),
    }


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def matrix_rate(size: int) -> float:
    """Operations per second of square bfloat16 products, the denominator of every MFU."""
    one = torch.randn(size, size, device=device(), dtype=torch.bfloat16)
    (taken,) = by_turns(lambda: one @ one, budget=1.0)
    return 2.0 * size**3 / float(np.median(taken))


def rows_of(queries: int, candidates: int, prefix: int, tail: int) -> Tokenized:
    """Random tokens: candidates of one query begin alike."""
    generator = np.random.default_rng(0)
    rows = []
    for _ in range(queries):
        head = generator.integers(1, 250, prefix)
        for _ in range(candidates):
            rows.append(np.concatenate([head, generator.integers(1, 250, tail)]).astype(np.int32))
    return Tokenized(rows, np.full(len(rows), prefix, dtype=np.int64), False)


def assert_equal(shape: Shape) -> float:
    """Two layers of the shape: packed against whole rows in float32; bfloat16's gap returned.

    Rows that share their beginnings by threes, and rows that share none.
    """
    config = copy.deepcopy(shape.config)
    config.num_hidden_layers, config.layer_types = 2, config.layer_types[:2]
    model = build(Shape(shape.name, config, shape.lora)).eval()
    return max(_assert_equal(shape.name, model, rows_of(n, 6 // n, 40, 24)) for n in (2, 6))


def _assert_equal(name: str, model: PreTrainedModel, tokens: Tokenized) -> float:
    rows, forward = np.arange(len(tokens)), Forward(model, byte_tokenizer())
    with torch.inference_mode():
        whole = plain_logits(model, tokens, rows)
        with forward.attention():
            packed = forward(forward.batch(tokens, rows, device()))
            with fast_products():
                fast = forward(forward.batch(tokens, rows, device()))
    torch.testing.assert_close(packed, whole, atol=1e-4, rtol=1e-4)
    gap = float((fast.float() - whole).abs().max() / whole.std())
    assert gap < 0.1, (name, gap)
    return gap


def plain_logits(model: nn.Module, tokens: Tokenized, rows: np.ndarray) -> Tensor:
    """Plain transformers: padded rows through the model's own forward pass, no keys kept."""
    inputs = pad(tokens, rows, byte_tokenizer(), device())
    logits: Tensor = model(**inputs, use_cache=False).logits
    return logits


def training_steps(model: PreTrainedModel, tokens: Tokenized, *, ours: bool) -> Callable[[], None]:
    """One optimizer step over all rows, as a function to be timed."""
    rows, labels = np.arange(len(tokens)), torch.randn(len(tokens), GRADES, device=device())
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-5, fused=True)
    forward = Forward(model, byte_tokenizer())
    model.train()

    def step() -> None:
        with fast_products():
            if ours:
                logits = forward(forward.batch(tokens, rows, device()))
            else:
                logits = plain_logits(model, tokens, rows)
        target = torch.log_softmax(labels, dim=1)
        loss = nn.functional.kl_div(
            torch.log_softmax(logits.float(), 1), target, reduction="batchmean", log_target=True
        )
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def measure_training(
    shape: Shape, length: int, slots: int, rate: float
) -> tuple[Figures, dict[str, float]]:
    """Separate rows of one length, no prefix shared; figures, and plain transformers' ratio."""
    free()
    model = build(shape)
    trained: Any = model
    if shape.lora:
        trained = with_lora(model, rank=16, alpha=32)
        if device().type == "cuda":  # as the training loop holds what lies under adapters
            for weight in frozen_matrices(trained):
                weight.data = weight.data.to(torch.bfloat16)
    else:
        freeze_embeddings(model)
    count = max(1, slots // length)
    tokens = rows_of(count, 1, length // 2, length - length // 2)
    forward = Forward(trained, byte_tokenizer())
    step = attending(forward, training_steps(trained, tokens, ours=True))
    for _ in range(2):  # the second finds the moments there
        step()
    memory = peak_gib()
    taken, plain = by_turns(step, training_steps(trained, tokens, ours=False))
    ours = float(np.median(taken))
    operations = training_flops(shape, [length] * count)
    name = f"{shape.name}_{'lora' if shape.lora else 'full'}_{length}"
    figures = {
        f"{name}_examples_per_second": count / ours,
        f"{name}_tokens_per_second": count * length / ours,
        f"{name}_mfu": operations / ours / rate,
        f"{name}_peak_gib": memory,
    }
    return figures, faster(taken, plain)


def attending(forward: Forward, work: Callable[[], Any]) -> Callable[[], None]:
    """The work with attention over packed rows, which a turn of the peer's must not find on."""

    def attend() -> None:
        with forward.attention():
            work()

    return attend


def measure_scoring(
    shape: Shape, prefix: int, tail: int, candidates: int, slots: int
) -> tuple[Figures, dict[str, float]]:
    """Items per second with a shared prefix; and plain transformers' seconds over ours."""
    free()
    model = build(shape).eval()
    if device().type == "cuda":  # as PairScorer.load holds them to score with
        hold_weights(model, torch.bfloat16)
    queries = max(1, slots // (candidates * (prefix + tail)))
    tokens = rows_of(queries, candidates, prefix, tail)
    rows, forward = np.arange(len(tokens)), Forward(model, byte_tokenizer())

    @torch.inference_mode()
    def share() -> None:
        for one in forward.plan(tokens, rows, slots):
            forward(forward.batch(tokens, one, device())).float().cpu()

    @torch.inference_mode()
    def whole() -> None:
        size = max(1, slots // (prefix + tail))
        for start in range(0, len(rows), size):
            plain_logits(model, tokens, rows[start : start + size]).float().cpu()

    ours, plain = by_turns(attending(forward, share), whole)
    name = f"{shape.name}_score_{prefix}+{tail}_x{candidates}_items_per_second"
    return {name: len(rows) / float(np.median(ours))}, faster(ours, plain)


def roomy_slots() -> int:
    """Tokens of one step that a 7B model's activations leave room for: 6.7 MB each."""
    gib = torch.cuda.get_device_properties(0).total_memory / 2**30
    return 16_384 if gib > 120 else 8_192


def with_liger() -> None:
    """Patch transformers with Liger's kernels."""
    from liger_kernel.transformers import apply_liger_kernel_to_qwen2, apply_liger_kernel_to_qwen3

    apply_liger_kernel_to_qwen2()
    apply_liger_kernel_to_qwen3()


def main() -> None:
    """Print the table, then one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tiny", action="store_true", help="tiny shapes, a try-out")
    parser.add_argument("--liger", action="store_true", help="with Liger's kernels in both")
    parser.add_argument(
        "--slots",
        type=int,
        help="tokens of one training step (default: 16,384 on an H200, 8,192 on less)",
    )
    chosen = parser.parse_args()
    if not (chosen.tiny or torch.cuda.is_available()):
        parser.error("there is no GPU here; --tiny tries the benchmark out on tiny shapes")
    if chosen.liger:
        if find_spec("liger_kernel") is None:
            parser.error("--liger needs the package liger-kernel, which is not installed")
        with_liger()
    shapes = tiny() if chosen.tiny else published()
    slots = chosen.slots or (256 if chosen.tiny else roomy_slots())
    served = slots if chosen.tiny else scoring_slots(device())
    lengths = (16, 32) if chosen.tiny else (1024, 2048)
    requests = ((8, 8), (4, 12)) if chosen.tiny else ((150, 150), (512, 512), (50, 150))
    rate = matrix_rate(128 if chosen.tiny else 8192)
    figures: Figures = {"matrix_tflops": rate / 1e12, "liger": float(chosen.liger)}
    ratios: dict[str, Any] = {}
    for shape in shapes:
        figures[f"{shape.name}_bf16_gap"] = assert_equal(shape)
        for length in lengths:
            found, ratio = measure_training(shape, length, slots, rate)
            figures |= found
            ratios[f"transformers_{shape.name}_train_{length}"] = {"examples_per_second": ratio}
        for prefix, tail in requests if shape is shapes[-1] else requests[:2]:
            for candidates in (1, 10, 50):
                found, ratio = measure_scoring(shape, prefix, tail, candidates, served)
                figures |= found
                name = f"transformers_{shape.name}_score_{prefix}+{tail}_x{candidates}"
                ratios[name] = {"items_per_second": ratio}
    finish("gpu", ratios, figures, versions(chosen.tiny))


def versions(is_tiny: bool) -> dict[str, Any]:
    on_gpu = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name(0) if on_gpu else "cpu",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "tiny": is_tiny,
    }


if __name__ == "__main__":
    main()
