"""A second run with another temperature: ours from stored soft labels, TRL's GKDTrainer anew.

    python -m benchmarks.second_run --peer-python FOLDER/bin/python

The model and the peer's environment are those of `python -m benchmarks.distillation`. The first
run stores the teacher's logits; the second reads them, and its first loss must equal the one
with the teacher at hand. `teacher_passes` counts forward passes of a teacher in ours.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.contenders.arrays import load_array
from benchmarks.contenders.ours_distillation import GRADES, scorer_of, tokenized
from benchmarks.contest import (
    Contender,
    faster,
    finish,
    own_python,
    per_second,
    rounds,
)
from benchmarks.distillation import make_work
from tasks.core.distillation.students import Teacher, distillation_loss
from tasks.core.training.passes import Forward

TEMPERATURE = 2.0


def loss_with_the_teacher_at_hand(work: Path, rows: int) -> float:
    """The second run's first loss, computed with live logits of both models."""
    tokens = tokenized(load_array(work, "ids")[:rows])
    student, teacher = scorer_of(work / "student"), scorer_of(work / "teacher")
    first = np.arange(rows)
    with torch.inference_mode():
        found = []
        for scorer in (student, teacher):
            forward = Forward(scorer.model, scorer.tokenizer)
            with forward.attention():
                found.append(forward(forward.batch(tokens, first, torch.device("cpu"))))
    spec = Teacher("policy", "grades", 1.0, TEMPERATURE, found[1].numpy())
    targets = {**spec.tensors(), "query": torch.arange(rows)}
    return float(distillation_loss([spec], GRADES)(found[0], targets))


def main() -> None:
    """Print the table, then one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--peer-python", help="Python of an environment with TRL")
    parser.add_argument("--rows", type=int, default=8, help="rows of one step")
    parser.add_argument("--tokens", type=int, default=256, help="tokens of one row")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    warmup, peer = 1, chosen.peer_python
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        make_work(work, chosen.rows * (chosen.rounds + warmup), chosen.tokens)
        expected = loss_with_the_teacher_at_hand(work, chosen.rows)
        arguments = [str(work), "steps", str(chosen.rows), str(TEMPERATURE)]
        ours = "benchmarks.contenders.ours_distillation"
        field = [Contender("ours", own_python(), ours, arguments)]
        if peer:
            settings = [str(work), str(chosen.rows), str(TEMPERATURE)]
            field.append(Contender("trl_gkd", peer, "benchmarks.contenders.gkd", settings))
        try:
            first = {one.name: one.ask(what="equality") for one in field}
            np.testing.assert_allclose(first["ours"]["loss"], expected, atol=1e-5)
            answers = rounds(field, chosen.rounds, warmup)
        finally:
            for one in field:
                one.close()
    ratios = {"trl_gkd": {"wall_time": faster(answers, "trl_gkd")}} if peer else {}
    passes = answers["ours"][-1]["teacher_passes"]
    figures = {
        "examples_per_second": per_second(answers["ours"], chosen.rows),
        "teacher_passes": passes,
        "teacher_passes_peer": float(chosen.rounds + warmup),
    }
    versions = {"trl_gkd": first["trl_gkd"]["versions"]} if peer else {}
    finish("second_run", ratios, figures, versions, [] if peer else ["trl_gkd"])


if __name__ == "__main__":
    main()
