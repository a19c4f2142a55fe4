"""Query intent: the ranker's own loop and folder, on classes of queries."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix

from tasks.core.training.base_models import BaseModel, Source, new_scorer
from tasks.core.training.intents import (
    as_texts,
    intent_figures,
    intent_outputs,
    intent_template,
    train_intents,
)
from tasks.core.training.loop import Optimization
from tasks.core.training.scorer import PairScorer
from tests.core.training.tiny import FAMILIES

QUERIES = ["nurse", "pilot", "in paris", "in rome", "remote nurse", "remote pilot"]
INTENTS = ["title", "title", "place", "place", "workplace", "workplace"]


@pytest.mark.parametrize("source", FAMILIES)
def test_a_tiny_model_learns_what_tells_queries_apart(source: Source, tmp_path: Path) -> None:
    outputs = intent_outputs(INTENTS)
    assert outputs.names == ("place", "title", "workplace")
    actual = np.array([outputs.names.index(intent) for intent in INTENTS])
    base = BaseModel(source, "tiny")
    scorer = new_scorer(base, outputs, intent_template(base, 48), seed=0)
    settings = Optimization(epochs=60, learning_rate=3e-3, head_learning_rate=1e-2, rows_per_step=6)
    report = train_intents(scorer, QUERIES, actual, settings)
    assert report.last_loss < report.first_loss
    scorer.save(tmp_path)
    found = PairScorer.load(tmp_path).logits(as_texts(QUERIES)).argmax(axis=1)
    assert found.tolist() == actual.tolist()
    # Any engine finds the intents' own names in the folder.
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["id2label"] == {"0": "place", "1": "title", "2": "workplace"}


def test_accuracy_and_confusion_are_scikit_learns() -> None:
    actual, predicted = np.random.default_rng(0).integers(0, 4, (2, 50))
    found = intent_figures("abcd", actual, predicted)
    assert found["accuracy"]["value"] == pytest.approx(accuracy_score(actual, predicted))
    assert found["confusion"] == confusion_matrix(actual, predicted).tolist()
    assert found["most_common"] == np.bincount(actual).max() / 50
