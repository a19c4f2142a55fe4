"""TRL's GKDTrainer as its documentation shows it: live teacher, every token's whole vocabulary.

lmbda 0 takes the given answers and generates nothing; beta 0 is the forward KL.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.experimental.gkd import GKDConfig, GKDTrainer

from benchmarks.contenders.arrays import load_array
from benchmarks.contenders.trainer_turns import StepTurns, arguments
from benchmarks.contenders.turns import answer, hear, versions


def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """The prompt, then one answer token, which alone counts."""
    prompts = torch.tensor([row["ids"] for row in rows])
    answers = torch.tensor([[row["answer"]] for row in rows])
    ids = torch.cat([prompts, answers], dim=1)
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "labels": torch.cat([torch.full_like(prompts, -100), answers], dim=1),
        "prompts": prompts,
        "prompt_attention_mask": torch.ones_like(prompts),
    }


def main() -> None:
    work, rows, temperature = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    ids, grades = (
        load_array(work, "ids"),
        load_array(work, "grades").tolist(),
    )
    student = AutoModelForCausalLM.from_pretrained(work / "student", dtype=torch.float32)
    teacher = AutoModelForCausalLM.from_pretrained(work / "teacher", dtype=torch.float32)
    dataset = Dataset.from_dict(
        {"ids": ids.tolist(), "answer": [grades[i % len(grades)] for i in range(len(ids))]}
    )
    settings = arguments(str(work / "gkd"), len(ids) // rows, rows)
    config = GKDConfig(**settings, lmbda=0.0, beta=0.0, temperature=temperature)
    trainer = GKDTrainer(
        model=student,
        teacher_model=teacher,
        args=config,
        data_collator=collate,
        train_dataset=dataset,
        processing_class=AutoTokenizer.from_pretrained(work / "student"),
        callbacks=[StepTurns()],
    )
    hear()
    with torch.no_grad():
        first = collate([dataset[i] for i in range(rows)])
        logits = student(first["input_ids"], attention_mask=first["attention_mask"]).logits
    answer(logits=logits[:, -2, grades].tolist(), versions=versions("trl", "transformers"))
    trainer.train()


if __name__ == "__main__":
    main()
