"""transformers' Trainer tuned by hand: the last token's logits alone, embeddings frozen.

`live` runs the teacher in every step; `stored` reads its logits, as we do.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, PreTrainedModel, Trainer, TrainingArguments

from benchmarks.contenders.arrays import load_array
from benchmarks.contenders.trainer_turns import StepTurns, arguments
from benchmarks.contenders.turns import answer, hear, versions

PROBE = "model.layers.0.mlp.gate_proj.weight"


class LastTokenTrainer(Trainer):  # type: ignore[misc]
    """T^2 KL at temperature T over the grade tokens of the last position."""

    teacher: PreTrainedModel | None
    grades: list[int]
    temperature: float

    def grade_logits(self, model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = model(input_ids=ids, logits_to_keep=1).logits[:, -1, self.grades]
        return found

    def compute_loss(self, model: Any, inputs: Any, *_: Any, **__: Any) -> torch.Tensor:
        student = self.grade_logits(model, inputs["input_ids"])
        target = inputs["teacher"]
        if self.teacher is not None:
            with torch.no_grad():
                target = self.grade_logits(self.teacher, inputs["input_ids"])
        target = F.log_softmax(target / self.temperature, dim=1)
        output = F.log_softmax(student / self.temperature, dim=1)
        kl = F.kl_div(output, target, reduction="batchmean", log_target=True)
        return self.temperature**2 * kl


def main() -> None:
    work, rows, mode = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    ids, labels = load_array(work, "ids"), load_array(work, "labels")
    student = AutoModelForCausalLM.from_pretrained(work / "student", dtype=torch.float32)
    student.get_input_embeddings().requires_grad_(False)
    data = [
        {"input_ids": torch.from_numpy(one), "teacher": torch.from_numpy(label)}
        for one, label in zip(ids, labels, strict=True)
    ]
    settings = arguments(str(work / mode), len(ids) // rows, rows, remove_unused_columns=False)
    trainer = LastTokenTrainer(
        student, TrainingArguments(**settings), train_dataset=data, callbacks=[StepTurns()]
    )
    trainer.grades = load_array(work, "grades").tolist()
    trainer.temperature = float(sys.argv[4])
    trainer.teacher = None
    if mode == "live":
        trainer.teacher = AutoModelForCausalLM.from_pretrained(
            work / "teacher", dtype=torch.float32
        )
    hear()
    first = {name: torch.stack([row[name] for row in data[:rows]]) for name in data[0]}
    loss = trainer.compute_loss(student, first)
    loss.backward()
    gradient = student.get_parameter(PROBE).grad
    answer(loss=float(loss), gradient=gradient[0].tolist(), versions=versions("transformers"))
    student.zero_grad()
    trainer.train()


if __name__ == "__main__":
    main()
