"""Our side of `listwise`: lists of candidates that share their query's computation."""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from benchmarks.contenders.turns import Turns, answer, hear
from tasks.core.inputs import InputTemplate, PairText
from tasks.core.training import precision
from tasks.core.training.loop import Examples, Optimization, Targets, train
from tasks.core.training.losses import listwise_kl
from tasks.core.training.passes import Forward
from tasks.core.training.scorer import Outputs, PairScorer

PROBE = "model.layers.0.mlp.gate_proj.weight"


def loss(logits: Tensor, batch: Targets) -> Tensor:
    return listwise_kl(logits[:, 0], batch["label"], batch["query"], temperature=1.0)


def main() -> None:
    precision.cpu_flags = frozenset  # float32, as the peer computes
    work, queries = Path(sys.argv[1]), int(sys.argv[2])
    data = json.loads((work / "lists.json").read_text())
    model = AutoModelForSequenceClassification.from_pretrained(work / "model")
    tokenizer = AutoTokenizer.from_pretrained(work / "model")
    scorer = PairScorer(model, tokenizer, InputTemplate(max_tokens=4096), Outputs(1), "tiny")
    # The template puts a line break after the query; the peer's queries end with it.
    pairs = [PairText(row["query"][:-1], doc) for row in data for doc in row["docs"]]
    groups = np.repeat(np.arange(len(data)), [len(row["docs"]) for row in data])
    labels = torch.tensor([label for row in data for label in row["labels"]])
    targets = {"label": labels, "query": torch.from_numpy(groups)}
    tokens = scorer.tokenize(pairs)
    first = np.flatnonzero(groups < queries)
    hear()
    forward = Forward(model, tokenizer)
    with forward.attention():
        logits = forward(forward.batch(tokens, first, torch.device("cpu")))
    value = loss(logits, {name: target[first] for name, target in targets.items()})
    value.backward()
    gradient = model.get_parameter(PROBE).grad[0].tolist()
    answer(loss=float(value), logits=logits[:, 0].tolist(), gradient=gradient)
    model.zero_grad()
    turns = Turns()

    def end_turn(step: int, steps: int) -> None:
        turns.end()
        turns.begin()

    optimization = Optimization(
        epochs=1,
        learning_rate=1e-4,
        head_learning_rate=1e-4,
        rows_per_step=len(first),
        tokens_per_batch=10**6,
    )
    turns.begin()
    train(scorer, Examples(tokens, groups, targets), loss, optimization, progress=end_turn)


if __name__ == "__main__":
    main()
