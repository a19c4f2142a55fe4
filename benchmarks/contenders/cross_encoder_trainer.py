"""sentence-transformers' CrossEncoder trainer with ListNet, each pair computed whole."""

import json
import sys
from pathlib import Path

import torch
from datasets import Dataset
from sentence_transformers.cross_encoder import (
    CrossEncoder,
    CrossEncoderTrainer,
    CrossEncoderTrainingArguments,
)
from sentence_transformers.cross_encoder.losses import ListNetLoss

from benchmarks.contenders.trainer_turns import StepTurns, arguments
from benchmarks.contenders.turns import answer, hear, versions

PROBE = "model.layers.0.mlp.gate_proj.weight"


def main() -> None:
    work, queries, mode = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    data = json.loads((work / "lists.json").read_text())
    model = CrossEncoder(str(work / "model"), num_labels=1, device="cpu", max_length=4096)
    # As documented, one list's worth of pairs at a time; tuned, the whole step in one pass.
    loss = ListNetLoss(model, mini_batch_size=None if mode == "documented" else -1)
    hear()
    first = data[:queries]
    value = loss(
        [[row["query"] for row in first], [row["docs"] for row in first]],
        [torch.tensor(row["labels"]) for row in first],
    )
    value.backward()
    (gradient,) = (p.grad for name, p in model.named_parameters() if name.endswith(PROBE))
    answer(
        loss=float(value),
        gradient=gradient[0].tolist(),
        versions=versions("sentence-transformers", "transformers"),
    )
    model.zero_grad()
    settings = arguments(str(work / mode), len(data) // queries, queries)
    CrossEncoderTrainer(
        model=model,
        args=CrossEncoderTrainingArguments(**settings),
        train_dataset=Dataset.from_list(data),
        loss=loss,
        callbacks=[StepTurns()],
    ).train()


if __name__ == "__main__":
    main()
