"""An ONNX graph gives the scorer's own logits in onnxruntime, for any rows and lengths."""

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from tasks.core.distillation.vocabulary import trim_vocabulary
from tasks.core.errors import CookbookError
from tasks.core.training import onnx_export
from tasks.core.training.onnx_export import MODEL, export_onnx
from tasks.core.training.scorer import PairScorer
from tests.core.training.tiny import lively_scorer, pairs_of

Floats = npt.NDArray[np.float32]


def logits_of_graph(folder: Path, scorer: PairScorer) -> Floats:
    """Those of nine pairs, read by ``scorer``'s tokenizer."""
    session = onnxruntime.InferenceSession(folder / MODEL)
    tokens, device = scorer.tokenize(pairs_of(9)), scorer.model.device
    inputs = onnx_export.pad(tokens, np.arange(9), scorer.tokenizer, device)
    (found,) = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
    return np.asarray(found)


def test_the_graph_gives_a_causal_scorers_logits(tmp_path: Path) -> None:
    """An encoder's is exported by the test of the command (tests/test_cli.py)."""
    scorer = lively_scorer("random_decoder")
    parity = export_onnx(scorer, tmp_path)
    assert 0 <= parity.largest_gap < 1e-4
    expected = scorer.logits(pairs_of(9))
    assert np.ptp(expected, axis=0).min() > 1e-2
    np.testing.assert_allclose(logits_of_graph(tmp_path, scorer), expected, atol=1e-4)


def test_a_trimmed_scorers_graph_gives_the_whole_ones_logits(tmp_path: Path) -> None:
    """With the tokenizer of its folder: ids of the whole vocabulary would be other tokens."""
    scorer = lively_scorer("random_encoder")
    expected, rows = scorer.logits(pairs_of(9)), len(scorer.tokenizer)
    trim_vocabulary(scorer, [text for pair in pairs_of(9) for text in (pair.left, pair.right)])
    scorer.save(tmp_path)
    loaded = PairScorer.load(tmp_path)
    assert len(loaded.tokenizer) < 0.5 * rows
    export_onnx(loaded, tmp_path)
    np.testing.assert_allclose(logits_of_graph(tmp_path, loaded), expected, atol=1e-4)


def test_a_graph_with_other_logits_is_refused() -> None:
    scorer = lively_scorer("random_encoder")

    class Other:
        def run(self, names: list[str], feed: dict[str, Any]) -> list[Any]:
            return [np.full((len(feed["input_ids"]), 3), 9.0, dtype=np.float32)]

    with pytest.raises(CookbookError, match=r"within 0\.0001"):
        onnx_export._compare(scorer, onnx_export._Logits(scorer).eval(), Other())


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **more: Any) -> Any:
        if name.startswith("onnx"):
            raise ImportError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(CookbookError, match=r"\.\[onnx\]"):
        export_onnx(lively_scorer("random_encoder"), tmp_path)
