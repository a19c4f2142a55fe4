"""One training step of distillation: ours, TRL's GKDTrainer, and a Trainer tuned by hand.

    python -m benchmarks.distillation --peer-python FOLDER/bin/python

A tiny causal model with Qwen3's vocabulary of 151,936 learns a teacher's grades. The peer's
environment is made by `pip install torch==2.13.0 trl==1.16.0 transformers==5.23.0`; without it
its row is left out. All compute in float32 with as many threads. GKD compares whole
vocabularies, so its loss is another one: its logits of the grade tokens must equal ours. The
tuned Trainer's loss and gradient must.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from benchmarks.contenders.arrays import save_array
from benchmarks.contest import (
    PROJECT,
    Contender,
    faster,
    finish,
    own_python,
    per_second,
    rounds,
    smaller,
)
from tasks.core.training.base_models import byte_tokenizer, grade_tokens
from tasks.core.training.scorer import Outputs

VOCABULARY = 151_936
LAST_TOKEN = "benchmarks.contenders.last_token_trainer"


def make_work(work: Path, rows: int, tokens: int) -> None:
    """A student, a teacher, token ids and the ids of the grades, for every contender to read."""
    tokenizer = byte_tokenizer()
    tokenizer.eos_token = "<pad>"
    for seed, role in enumerate(("student", "teacher")):
        torch.manual_seed(seed)
        model = Qwen3ForCausalLM(shape())
        model.save_pretrained(work / role)
        tokenizer.save_pretrained(work / role)
    generator = np.random.default_rng(0)
    save_array(work, "ids", generator.integers(300, VOCABULARY, (rows, tokens)))
    save_array(work, "grades", np.array(grade_tokens(tokenizer, Outputs(5))))
    subprocess.run(
        [sys.executable, "-m", "benchmarks.contenders.ours_distillation", str(work), "labels"],
        check=True,
        cwd=PROJECT,
    )


def shape() -> Qwen3Config:
    return Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        tie_word_embeddings=True,
        pad_token_id=0,
        eos_token_id=0,
    )


def contenders(work: Path, rows: int, peer: str | None) -> list[Contender]:
    arguments = [str(work), str(rows)]
    found = [
        Contender(
            "ours",
            own_python(),
            "benchmarks.contenders.ours_distillation",
            [str(work), "steps", str(rows), "1.0"],
        ),
        Contender("trainer_last_token", own_python(), LAST_TOKEN, [*arguments, "live", "1.0"]),
        Contender("trainer_stored_labels", own_python(), LAST_TOKEN, [*arguments, "stored", "1.0"]),
    ]
    if peer:
        found.append(Contender("trl_gkd", peer, "benchmarks.contenders.gkd", [*arguments, "1.0"]))
    return found


def assert_equal(answers: dict[str, dict[str, Any]]) -> None:
    """The tuned peers' loss and gradient are ours; GKD's grade logits are."""
    ours = answers["ours"]
    for name in ("trainer_last_token", "trainer_stored_labels"):
        np.testing.assert_allclose(answers[name]["loss"], ours["loss"], atol=1e-5)
        scale = np.abs(ours["gradient"]).max()
        gap = np.abs(np.subtract(answers[name]["gradient"], ours["gradient"])).max()
        assert gap < 1e-4 * scale, (name, gap, scale)
    if "trl_gkd" in answers:
        np.testing.assert_allclose(answers["trl_gkd"]["logits"], ours["logits"], atol=1e-4)


def main() -> None:
    """Print the table, then one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--peer-python", help="Python of an environment with TRL")
    parser.add_argument("--rows", type=int, default=8, help="rows of one step")
    parser.add_argument("--tokens", type=int, default=256, help="tokens of one row")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    warmup = 2
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        make_work(work, chosen.rows * (chosen.rounds + warmup), chosen.tokens)
        field = contenders(work, chosen.rows, chosen.peer_python)
        try:
            first = {one.name: one.ask(what="equality") for one in field}
            assert_equal(first)
            answers = rounds(field, chosen.rounds, warmup)
        finally:
            for one in field:
                one.close()
    peers = [one.name for one in field[1:]]
    finish(
        "distillation",
        {
            name: {
                "examples_per_second": faster(answers, name),
                "memory": smaller(answers, name),
            }
            for name in peers
        },
        {"examples_per_second": per_second(answers["ours"], chosen.rows)}
        | {f"peak_mb_{name}": rows[-1]["peak_mb"] for name, rows in answers.items()},
        {name: first[name]["versions"] for name in peers},
        [] if chosen.peer_python else ["trl_gkd"],
    )


if __name__ == "__main__":
    main()
