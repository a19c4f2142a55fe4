"""An ONNX graph gives the scorer's own logits in onnxruntime, for any rows and lengths."""

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.core.errors import CookbookError
from tasks.core.training import onnx_export
from tasks.core.training.onnx_export import MODEL, export_onnx
from tests.core.training.tiny import lively_scorer, pairs_of


def test_the_graph_gives_a_causal_scorers_logits(tmp_path: Path) -> None:
    """An encoder's is exported by the test of the command (tests/test_cli.py)."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    scorer, pairs = lively_scorer("random_decoder"), pairs_of(9)
    parity = export_onnx(scorer, tmp_path)
    assert 0 <= parity.largest_gap < 1e-4
    session = onnxruntime.InferenceSession(tmp_path / MODEL)
    padded = scorer.tokenize(pairs)
    inputs = onnx_export.pad(padded, np.arange(9), scorer.tokenizer, scorer.model.device)
    (found,) = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
    expected = scorer.logits(pairs)
    assert np.ptp(expected, axis=0).min() > 1e-2
    np.testing.assert_allclose(found, expected, atol=1e-4)


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
