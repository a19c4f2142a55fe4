"""A second run with another temperature: ours from stored soft labels, peers with live teachers.

    python -m benchmarks.second_run --peer-python FOLDER/bin/python

The model, the peers (TRL's GKDTrainer; a Trainer tuned to the last token's logits) and their
environments are those of `python -m benchmarks.distillation`. The first run stores the teacher's
logits; the second reads them, and its first loss must equal the one with the teacher at hand, which
is the tuned Trainer's too. `teacher_passes` counts forward passes of a teacher in ours.
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
from benchmarks.distillation import LAST_TOKEN, make_work
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


def contenders(work: Path, rows: str, peer: str | None) -> list[Contender]:
    folder, temperature = str(work), str(TEMPERATURE)
    python, ours = own_python(), "benchmarks.contenders.ours_distillation"
    tuned = [folder, rows, "live", temperature]
    found = [
        Contender("ours", python, ours, [folder, "steps", rows, temperature]),
        Contender("trainer_last_token", python, LAST_TOKEN, tuned),
    ]
    if peer:
        gkd = [folder, rows, temperature]
        found.append(Contender("trl_gkd", peer, "benchmarks.contenders.gkd", gkd))
    return found


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
        field = contenders(work, str(chosen.rows), peer)
        try:
            first = {one.name: one.ask(what="equality") for one in field}
            for name in ("ours", "trainer_last_token"):
                np.testing.assert_allclose(first[name]["loss"], expected, atol=1e-5, err_msg=name)
            answers = rounds(field, chosen.rounds, warmup)
        finally:
            for one in field:
                one.close()
    peers = [one.name for one in field[1:]]
    ratios = {name: {"wall_time": faster(answers, name)} for name in peers}
    passes = answers["ours"][-1]["teacher_passes"]
    figures = {
        "examples_per_second": per_second(answers["ours"], chosen.rows),
        "teacher_passes": passes,
        "teacher_passes_peer": float(chosen.rounds + warmup),
    }
    versions = {name: first[name]["versions"] for name in peers}
    finish("second_run", ratios, figures, versions, [] if peer else ["trl_gkd"])


if __name__ == "__main__":
    main()
