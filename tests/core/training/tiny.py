"""Tiny scorers of both families, and pairs for them, that every test of training shares."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState

from tasks.core.inputs import InputTemplate, PairText
from tasks.core.training import precision
from tasks.core.training.base_models import BaseModel, Source, new_scorer
from tasks.core.training.scorer import Outputs, PairScorer

FAMILIES: tuple[Source, ...] = ("random_encoder", "random_decoder")
WORDS = ("nurse", "pilot", "baker", "clerk", "tutor", "miner", "judge", "actor")


@pytest.fixture(autouse=True)
def processor_without_fast_bfloat16(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test computes in float32, whatever the processor it runs on can do."""
    monkeypatch.setattr(precision, "cpu_flags", frozenset)
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def tiny_scorer(
    source: Source, *, actions: tuple[str, ...] = (), grades: int = 3, seed: int = 0
) -> PairScorer:
    """Three layers of width 32, random weights."""
    suffix = " Grade: " if source == "random_decoder" else ""
    template = InputTemplate(max_tokens=48, prefix="Q: " if suffix else "", suffix=suffix)
    return new_scorer(BaseModel(source, "tiny"), Outputs(grades, actions), template, seed=seed)


def lively_scorer(source: Source, *, actions: tuple[str, ...] = ()) -> PairScorer:
    """As ``tiny_scorer``, with weights ten times as large: fresh ones hardly tell pairs apart."""
    scorer = tiny_scorer(source, actions=actions)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in scorer.model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.2, generator=generator)
    return scorer


def pairs_of(count: int, *, seed: int = 0) -> list[PairText]:
    """Pairs of different lengths."""
    generator = np.random.default_rng(seed)
    return [
        PairText(
            left=str(generator.choice(WORDS)),
            right=" ".join(generator.choice(WORDS, size=generator.integers(1, 6))),
        )
        for _ in range(count)
    ]


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Pairs of every call of a teacher."""
    seen: list[int] = []
    whole = PairScorer.logits

    def logits(self: PairScorer, pairs: Any, **options: Any) -> Any:
        seen.append(len(pairs))
        return whole(self, pairs, **options)

    monkeypatch.setattr(PairScorer, "logits", logits)
    return seen
