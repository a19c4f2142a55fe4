"""Our side of `distillation` and `second_run`: stored soft labels in, training steps out."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen3Model

from benchmarks.contenders.arrays import load_array, save_array
from benchmarks.contenders.turns import Turns, answer, hear
from tasks.core.distillation.students import Teacher, distillation_loss
from tasks.core.inputs import InputTemplate
from tasks.core.training import precision
from tasks.core.training.architecture import freeze_embeddings
from tasks.core.training.base_models import decoder_scorer
from tasks.core.training.loop import Examples, Optimization, train
from tasks.core.training.passes import Forward
from tasks.core.training.scorer import Outputs, PairScorer
from tasks.core.training.tokens import Tokenized

GRADES = 5
CPU = torch.device("cpu")
PROBE = "model.layers.0.mlp.gate_proj.weight"


def scorer_of(folder: Path) -> PairScorer:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    language_model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    outputs = Outputs(GRADES)
    model = decoder_scorer(language_model, tokenizer, outputs)
    return PairScorer(model, tokenizer, InputTemplate(max_tokens=512), outputs, "tiny")


def tokenized(ids: np.ndarray) -> Tokenized:
    """Whole rows, of which the first half would be the query's; no two begin alike."""
    rows = [row.astype(np.int32) for row in ids]
    return Tokenized(rows, np.full(len(rows), ids.shape[1] // 2, dtype=np.int64), False)


def store_labels(work: Path) -> None:
    """The teacher's only pass."""
    teacher = scorer_of(work / "teacher")
    save_array(
        work,
        "labels",
        teacher.logits_of_tokens(tokenized(load_array(work, "ids"))),
    )


def compete(work: Path, rows: int, temperature: float) -> None:
    student, tokens = scorer_of(work / "student"), tokenized(load_array(work, "ids"))
    labels = load_array(work, "labels")
    groups = np.arange(len(tokens))
    teacher = Teacher("policy", "grades", 1.0, temperature, labels)
    loss = distillation_loss([teacher], GRADES)
    freeze_embeddings(student.model)
    targets = {**teacher.tensors(), "query": torch.from_numpy(groups)}
    hear()
    forward, first = Forward(student.model, student.tokenizer), np.arange(rows)
    with forward.attention():
        logits = forward(forward.batch(tokens, first, CPU))
    value = loss(logits, {name: target[:rows] for name, target in targets.items()})
    value.backward()
    gradient = student.model.get_parameter(PROBE).grad
    answer(loss=float(value), logits=logits.tolist(), gradient=gradient[0].tolist())
    student.model.zero_grad()
    turns = Turns()
    passes = {"teacher_passes": 0}

    def count(module: torch.nn.Module, _: Any) -> None:
        """The student's model is the only one in this process that should run."""
        if isinstance(module, Qwen3Model) and module is not student.model.base_model:
            passes["teacher_passes"] += 1

    torch.nn.modules.module.register_module_forward_pre_hook(count)

    def end_turn(step: int, steps: int) -> None:
        turns.end(**passes)
        turns.begin()

    optimization = Optimization(
        epochs=1,
        learning_rate=1e-4,
        head_learning_rate=1e-4,
        rows_per_step=rows,
        tokens_per_batch=10**6,
    )
    turns.begin()
    train(student, Examples(tokens, groups, targets), loss, optimization, progress=end_turn)


def main() -> None:
    precision.cpu_flags = frozenset  # float32, as the peers compute
    work, mode = Path(sys.argv[1]), sys.argv[2]
    if mode == "labels":
        store_labels(work)
    else:
        compete(work, int(sys.argv[3]), float(sys.argv[4]))


if __name__ == "__main__":
    main()
