"""ONNX for serving on CPUs: a scorer's own logits, held to torch's before anybody serves them.

The graph is the model alone. Who serves it renders pairs (``inputs.render_pair``, by the template
of ``cookbook.json``), tokenizes and pads on the right; logits come out raw, before temperature.
"""

import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tasks.core.errors import CookbookError
from tasks.core.training.architecture import family
from tasks.core.training.scorer import PairScorer
from tasks.core.training.tokens import Tokenized, pad

MODEL = "model.onnx"
LARGEST_GAP = 1e-4
# Requests of this many candidates are compared and timed, as many times.
CANDIDATES, REQUESTS = 20, 30


@dataclass(frozen=True)
class OnnxParity:
    """The largest gap of raw logits to torch; milliseconds of a request, (p50, p99), by engine."""

    largest_gap: float
    tokens: int
    onnx_ms: tuple[float, float]
    torch_ms: tuple[float, float]


def export_onnx(scorer: PairScorer, folder: Path) -> OnnxParity:
    """Write ``model.onnx`` (float32, any number of rows and tokens) and compare it with torch.

    Raises:
        CookbookError: the packages are missing, or the logits are not torch's.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  torch's exporter needs it
    except ImportError as error:
        raise CookbookError(
            "An ONNX export needs onnx, onnxscript and onnxruntime, and not all are installed. "
            "Run pip install '.[onnx]'."
        ) from error
    graph = _Logits(scorer).eval()
    scorer.model.set_attn_implementation("sdpa")
    _write(graph, _request(scorer, 3, 12), folder / MODEL)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        folder / MODEL, options, providers=["CPUExecutionProvider"]
    )
    return _compare(scorer, graph, session)


class _Logits(nn.Module):
    """A scorer's model from named tensors to raw logits, nothing cached."""

    def __init__(self, scorer: PairScorer) -> None:
        super().__init__()
        self.model = scorer.model
        self.more: dict[str, Any] = {} if family(scorer.model) == "bert" else {"use_cache": False}

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        segments = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        logits: Tensor = self.model(
            input_ids=input_ids, attention_mask=attention_mask, **segments, **self.more
        ).logits
        return logits


def _write(graph: nn.Module, sample: dict[str, Tensor], path: Path) -> None:
    sizes = {0: torch.export.Dim("rows"), 1: torch.export.Dim("tokens")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns of calls of its own
        # and says that torchvision, whose operators no scorer has, is not installed.
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            graph,
            tuple(sample.values()),
            path,
            input_names=list(sample),
            output_names=["logits"],
            dynamo=True,
            dynamic_shapes={name: dict(sizes) for name in sample},
            verbose=False,
        )


def _request(scorer: PairScorer, rows: int, longest: int) -> dict[str, Tensor]:
    """Random tokens, rows from half of ``longest`` to all of it, as the model reads them."""
    generator = np.random.default_rng(0)
    tokenizer = scorer.tokenizer
    known = np.setdiff1d(np.arange(len(tokenizer)), tokenizer.all_special_ids)
    lengths = np.linspace(longest, max(2, longest // 2), rows).astype(int)
    ids = [generator.choice(known, length).astype(np.int32) for length in lengths]
    segmented = family(scorer.model) == "bert"
    tokens = Tokenized(ids, lengths.astype(np.int64) // 2, segmented)
    return pad(tokens, np.arange(rows), tokenizer, torch.device("cpu"))


def _compare(scorer: PairScorer, graph: nn.Module, session: Any) -> OnnxParity:
    longest = scorer.template.max_tokens
    requests = [_request(scorer, *shape) for shape in ((1, 7), (5, 33), (CANDIDATES, longest))]

    def by_torch(request: dict[str, Tensor]) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            found: npt.NDArray[np.float32] = graph(**request).numpy()
        return found

    def by_onnx(request: dict[str, Tensor]) -> npt.NDArray[np.float32]:
        feed = {name: tensor.numpy() for name, tensor in request.items()}
        found: npt.NDArray[np.float32] = session.run(["logits"], feed)[0]
        return found

    gap = max(float(np.abs(by_torch(one) - by_onnx(one)).max()) for one in requests)
    if not gap <= LARGEST_GAP:
        raise CookbookError(
            f"The ONNX graph's logits should be within {LARGEST_GAP} of torch's; they are {gap} "
            "away. Serve the plain transformers folder instead."
        )
    onnx_ms, torch_ms = _milliseconds([by_onnx, by_torch], requests[-1])
    return OnnxParity(gap, longest, onnx_ms, torch_ms)


def _milliseconds(
    engines: list[Callable[[dict[str, Tensor]], Any]], request: dict[str, Tensor]
) -> list[tuple[float, float]]:
    """Of one request, (p50, p99) by engine; the engines take turns, so that noise hits all."""
    taken = np.empty((REQUESTS, len(engines)))
    for row in taken:
        for column, engine in enumerate(engines):
            started = time.perf_counter()
            engine(request)
            row[column] = 1000 * (time.perf_counter() - started)
    return [(float(p50), float(p99)) for p50, p99 in np.percentile(taken, [50, 99], axis=0).T]
