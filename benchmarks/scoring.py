"""Scoring 2,000 pairs of log-normal length, 20 a query, beside CrossEncoder.predict.

    python -m benchmarks.scoring --peer-python FOLDER/bin/python

all-MiniLM-L6-v2 with a head, and a small causal model whose queries are long, as members'
profiles are. The peer's environment is that of `python -m benchmarks.listwise`. Rows
`documented` use the peer's default batch of 32, `tuned` the fastest of 16, 32, 64 and 128, which it
chooses beforehand on a quarter of the pairs. A turn scores all pairs and takes a minute on one
thread, so three rounds are enough; the pass that shows equal scores is the warm-up. All in float32;
`as_shipped` is ours in the format this processor is fastest in, and Kendall's tau says how far its
order is that of float32 (untrained heads, whose scores lie close together). On a crowded machine
the ratio of CPU time is the steadier one.
"""

import argparse
import json
import string
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import kendalltau
from transformers import Qwen3ForSequenceClassification

from benchmarks.contest import Contender, faster, finish, own_python, per_second, rounds
from benchmarks.listwise import causal_shape
from tasks.core.inputs import InputTemplate
from tasks.core.training.base_models import BaseModel, byte_tokenizer, new_scorer
from tasks.core.training.scorer import Outputs, PairScorer

MODULE = "benchmarks.contenders.scorers"
A_QUERY = 20


def encoder_pairs(count: int) -> tuple[PairScorer, list[list[str]]]:
    """MiniLM, and words in queries of six and candidates of about fifty."""
    template = InputTemplate(max_tokens=512)
    scorer = new_scorer(BaseModel("embedded", "minilm"), Outputs(5), template, seed=0)
    generator = np.random.default_rng(0)
    words = [word for word in scorer.tokenizer.get_vocab() if word.isalpha() and len(word) > 3]

    def text(length: int) -> str:
        return " ".join(generator.choice(words[:2000], length))

    lengths = lognormal(generator, count, 50)
    lefts = [text(6) for _ in range(-(-count // A_QUERY))]
    return scorer, [[lefts[i // A_QUERY], text(n)] for i, n in enumerate(lengths)]


def causal_pairs(count: int) -> tuple[PairScorer, list[list[str]]]:
    """A small Qwen3; queries of about 200 tokens, candidates of about 50; a token is a byte."""
    torch.manual_seed(0)
    tokenizer = byte_tokenizer()
    tokenizer.eos_token = "<pad>"
    model = Qwen3ForSequenceClassification(causal_shape(len(tokenizer)))
    generator = np.random.default_rng(0)

    def text(length: int) -> str:
        return "".join(generator.choice(list(string.ascii_lowercase), length))

    template = InputTemplate(max_tokens=512)
    scorer = PairScorer(model, tokenizer, template, Outputs(1), "tiny")
    lefts = [text(n) for n in lognormal(generator, -(-count // A_QUERY), 200)]
    lengths = lognormal(generator, count, 50)
    return scorer, [[lefts[i // A_QUERY], text(n)] for i, n in enumerate(lengths)]


def lognormal(generator: np.random.Generator, count: int, median: int) -> np.ndarray:
    """Lengths whose logarithms are normal (sigma 0.6), no longer than 250."""
    lengths = np.exp(generator.normal(np.log(median), 0.6, count))
    return np.clip(lengths, 4, 250).astype(int)


def contenders(family: str, work: Path, peer: str | None) -> list[Contender]:
    scorer, pairs = str(work / "scorer"), str(work / "pairs.json")
    sides = [("ours", own_python(), "ours", "float32"), ("as_shipped", own_python(), "ours", "")]
    if peer:
        sides += [
            (f"{family}_documented", peer, "peer", "32"),
            (f"{family}_tuned", peer, "peer", "0"),
        ]
    return [
        Contender(name, python, MODULE, [who, scorer, pairs, detail])
        for name, python, who, detail in sides
    ]


def contest(family: str, count: int, n_rounds: int, peer: str | None) -> dict[str, Any]:
    """Ratios, figures and versions of one family of models."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        scorer, pairs = (encoder_pairs if family == "minilm" else causal_pairs)(count)
        scorer.save(work / "scorer")
        (work / "pairs.json").write_text(json.dumps(pairs))
        field = contenders(family, work, peer)
        try:
            first = {one.name: one.ask(what="equality") for one in field}
            tau = assert_equal({name: np.array(one["scores"]) for name, one in first.items()})
            answers = rounds(field, n_rounds, 0)
        finally:
            for one in field:
                one.close()
    peers = [one.name for one in field[2:]]
    return {
        "ratios": {
            name: {
                "pairs_per_second": faster(answers, name),
                "pairs_per_cpu_second": faster(answers, name, clock="cpu_seconds"),
            }
            for name in peers
        }
        | {
            f"{name}_as_shipped": {"pairs_per_second": faster(answers, name, ours="as_shipped")}
            for name in peers
        },
        "figures": {
            f"{family}_pairs_per_second": per_second(answers["ours"], count),
            f"{family}_as_shipped_tau": tau,
            f"{family}_as_shipped_pairs_per_second": per_second(answers["as_shipped"], count),
        },
        "versions": {name: first[name]["versions"] for name in peers},
    }


def assert_equal(scores: dict[str, np.ndarray]) -> float:
    """Every float32 score is ours; returns Kendall's tau of what is shipped with them."""
    ours = scores["ours"].reshape(len(scores["ours"]), -1)
    for name, found in scores.items():
        if name != "as_shipped":
            np.testing.assert_allclose(found.reshape(ours.shape), ours, atol=1e-4, err_msg=name)
    shipped = scores["as_shipped"].reshape(ours.shape)
    return float(kendalltau(shipped[:, 0], ours[:, 0]).statistic)


def main() -> None:
    """Print the table, then one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--peer-python", help="Python with sentence-transformers")
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    results = [
        contest(family, chosen.pairs, chosen.rounds, chosen.peer_python)
        for family in ("minilm", "causal")
    ]
    merged = {
        part: {key: value for result in results for key, value in result[part].items()}
        for part in ("ratios", "figures", "versions")
    }
    left_out = [] if chosen.peer_python else ["minilm_documented", "causal_documented"]
    finish("scoring", merged["ratios"], merged["figures"], merged["versions"], left_out)


if __name__ == "__main__":
    main()
