"""Turns of transformers' Trainer and what is built on it: one optimizer step is a turn."""

from typing import Any

from transformers import TrainerCallback, TrainingArguments

from benchmarks.contenders.turns import Turns


class StepTurns(TrainerCallback):  # type: ignore[misc]
    """Waits before each step and answers after it; fetching the batch is not counted."""

    def __init__(self) -> None:
        self.turns = Turns()

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.turns.begin()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.turns.end()


def arguments(folder: str, steps: int, rows: int, **more: Any) -> dict[str, Any]:
    """Settings that every Trainer here shares: float32 on the CPU, AdamW, nothing saved."""
    return {
        "output_dir": folder,
        "max_steps": steps,
        "per_device_train_batch_size": rows,
        "learning_rate": 1e-4,
        "use_cpu": True,
        "bf16": False,
        "report_to": "none",
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "gradient_checkpointing": False,
        **more,
    }


__all__ = ["StepTurns", "TrainingArguments", "arguments"]
