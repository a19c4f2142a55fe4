"""One training step over lists: shared prefixes beside sentence-transformers' CrossEncoder trainer.

    python -m benchmarks.listwise --peer-python FOLDER/bin/python

A causal model, queries of 256 tokens with 16 candidates of 64 tokens each. The peer's
environment: `pip install torch==2.13.0 sentence-transformers==6.2.0 transformers==5.23.0
accelerate==1.15.0 datasets==5.2.0`. Loss and gradient of the first step must be equal.
"""

import argparse
import json
import string
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Qwen3Config, Qwen3ForSequenceClassification

from benchmarks.contest import (
    Contender,
    faster,
    finish,
    own_python,
    per_second,
    rounds,
    smaller,
)
from tasks.core.training.base_models import byte_tokenizer

PEER = "benchmarks.contenders.cross_encoder_trainer"


def make_work(work: Path, lists: int, chosen: argparse.Namespace) -> None:
    """A model and lists of text; a token is a byte, so that lengths are exact."""
    torch.manual_seed(0)
    tokenizer = byte_tokenizer()
    tokenizer.eos_token = "<pad>"
    Qwen3ForSequenceClassification(causal_shape(len(tokenizer))).save_pretrained(work / "model")
    tokenizer.save_pretrained(work / "model")
    generator = np.random.default_rng(0)

    def text(length: int) -> str:
        return "".join(generator.choice(list(string.ascii_lowercase), length))

    data = [
        {
            "query": text(chosen.prefix - 1) + "\n",
            "docs": [text(chosen.candidate) for _ in range(chosen.candidates)],
            "labels": generator.normal(size=chosen.candidates).round(3).tolist(),
        }
        for _ in range(lists)
    ]
    (work / "lists.json").write_text(json.dumps(data))


def causal_shape(vocabulary: int) -> Qwen3Config:
    config = Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        pad_token_id=0,
        eos_token_id=0,
    )
    config.num_labels = 1
    return config


def assert_equal(ours: dict[str, Any], peer: dict[str, Any], labels: np.ndarray) -> None:
    """The peer's loss is a cross-entropy, ours a KL: they differ by the labels' entropy."""
    probability = np.exp(labels) / np.exp(labels).sum(axis=1, keepdims=True)
    entropy = -(probability * np.log(probability)).sum(axis=1).mean()
    np.testing.assert_allclose(peer["loss"] - entropy, ours["loss"], atol=1e-4)
    gap = np.abs(np.subtract(peer["gradient"], ours["gradient"])).max()
    assert gap < 1e-3 * np.abs(ours["gradient"]).max(), gap


def main() -> None:
    """Print the table, then one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--peer-python", help="Python with sentence-transformers")
    parser.add_argument("--prefix", type=int, default=256)
    parser.add_argument("--candidate", type=int, default=64)
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--queries", type=int, default=2, help="lists of one step")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    warmup, queries = 2, chosen.queries
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        make_work(work, queries * (chosen.rounds + warmup), chosen)
        data = json.loads((work / "lists.json").read_text())
        field = contenders(work, queries, chosen.peer_python)
        try:
            first = {one.name: one.ask(what="equality") for one in field}
            labels = np.array([row["labels"] for row in data[:queries]])
            for one in field[1:]:
                assert_equal(first["ours"], first[one.name], labels)
            answers = rounds(field, chosen.rounds, warmup)
        finally:
            for one in field:
                one.close()
    peers = [one.name for one in field[1:]]
    finish(
        "listwise",
        {
            name: {"lists_per_second": faster(answers, name), "memory": smaller(answers, name)}
            for name in peers
        },
        {"lists_per_second": per_second(answers["ours"], queries)},
        {name: first[name]["versions"] for name in peers},
        [] if peers else ["cross_encoder_documented", "cross_encoder_tuned"],
    )


def contenders(work: Path, queries: int, peer: str | None) -> list[Contender]:
    ours = "benchmarks.contenders.ours_listwise"
    arguments = [str(work), str(queries)]
    found = [Contender("ours", own_python(), ours, arguments)]
    for mode in ("documented", "tuned") if peer else ():
        found.append(Contender(f"cross_encoder_{mode}", peer, PEER, [*arguments, mode]))
    return found


if __name__ == "__main__":
    main()
