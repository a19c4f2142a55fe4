"""How many of the token slots that a model computes hold a token, beside two collators.

    python -m benchmarks.data_path --peer-python FOLDER/bin/python

20,000 rows of log-normal length. Ours: training steps of 32 rows, packed as causal models and as
encoders read them, and the length buckets that encoders score. Peers:
transformers' padding collator, in the order of the file and grouped by length, and TRL's packing
(best fit decreasing; the environment of `python -m benchmarks.distillation`). Equality: every
path holds each row's tokens exactly once, and a changed row changes no other row's logits.
"""

import argparse
import json
import math
import subprocess
import tempfile
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import torch
from transformers import DataCollatorWithPadding

from benchmarks.contest import PROJECT, finish, single
from tasks.core.training.base_models import BaseModel, byte_tokenizer, new_scorer
from tasks.core.training.batches import epoch_batches
from tasks.core.training.packed_rows import PackedRows, by_length, pack_rows
from tasks.core.training.passes import Forward, packed_passes
from tasks.core.training.scorer import InputTemplate, Outputs
from tasks.core.training.shared_prefix import PackedBatch, pack
from tasks.core.training.tokens import Rows, Tokenized, chunks_by_tokens

ROWS_A_STEP, SLOTS, LONGEST = 32, 16_384, 1_024
CPU = torch.device("cpu")
Packing = Callable[[Tokenized, Rows, torch.device], PackedBatch | PackedRows]


def make_rows(count: int) -> Tokenized:
    """Rows of median length 150, sigma 0.7; the first tenth of each is its query's, own to it."""
    generator = np.random.default_rng(0)
    lengths = np.clip(np.exp(generator.normal(np.log(150), 0.7, count)), 12, LONGEST).astype(int)
    rows = [generator.integers(1, 250, n).astype(np.int32) for n in lengths]
    return Tokenized(rows, np.maximum(1, lengths // 10), False)


def packed_share(tokens: Tokenized, passes: list[Rows], packing: Packing) -> float:
    """Real tokens of separate rows by slots computed; beginnings that are shared raise it."""
    slots = sum(packing(tokens, rows, CPU).token_ids.numel() for rows in passes)
    return min(1.0, tokens.take(np.concatenate(passes)).lengths.sum() / slots)


def attention_share(tokens: Tokenized, passes: list[Rows]) -> float:
    """A causal model's attention pads within a group: tokens by places it has queries for."""
    real = slots = 0
    for rows in passes:
        batch = pack(tokens, rows, CPU)
        layout = batch.layout
        owns = (*layout.heads, *(one.own for one in layout.tails))
        slots += sum(math.prod(own.shape) for own in owns)
        real += batch.token_ids.numel()
    return real / slots


def padded_share(lengths: Rows, passes: list[Rows]) -> float:
    slots = sum(len(rows) * int(lengths[rows].max()) for rows in passes)
    return float(lengths.sum() / slots)


def collator_share(tokens: Tokenized, batches: list[Rows]) -> float:
    """What transformers' collator pads these batches to."""
    collate = DataCollatorWithPadding(byte_tokenizer())
    slots = 0
    for rows in batches:
        features = [{"input_ids": tokens.token_ids[row].tolist()} for row in rows]
        slots += collate(features)["input_ids"].numel()
    return float(tokens.lengths.sum() / slots)


def trl_share(tokens: Tokenized, python: str) -> tuple[float, dict[str, str]]:
    """TRL's packing in its own environment; its rows must hold ours."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.json"
        path.write_text(json.dumps([row.tolist() for row in tokens.token_ids]))
        done = subprocess.run(
            [python, "-m", "benchmarks.contenders.trl_packing", str(path), str(LONGEST)],
            capture_output=True,
            text=True,
            check=True,
            cwd=PROJECT,
        )
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer["share"], answer["versions"]


def assert_equal(tokens: Tokenized, paths: dict[str, list[Rows]]) -> None:
    """Every row once on every path; and company changes nobody's logits."""
    for name, passes in paths.items():
        assert sorted(np.concatenate(passes)) == list(range(len(tokens))), name
    for source, training in product(("random_encoder", "random_decoder"), (True, False)):
        scorer = new_scorer(BaseModel(source, "tiny"), Outputs(3), InputTemplate(512), seed=0)
        scorer.model.train(training)
        forward, rows = Forward(scorer.model, scorer.tokenizer), np.arange(8)
        short = Tokenized([row[:100] for row in tokens.token_ids[:8]], np.full(8, 5), False)
        other = Tokenized([*short.token_ids[:7], short.token_ids[7][::-1]], np.full(8, 5), False)
        with torch.inference_mode(), forward.attention():
            before, after = (forward(forward.batch(one, rows, CPU)) for one in (short, other))
        torch.testing.assert_close(before[:7], after[:7], atol=1e-6, rtol=0)
        assert not torch.equal(before[7], after[7])


def main() -> None:
    """Print the table, then one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--peer-python", help="Python of an environment with TRL")
    parser.add_argument("--rows", type=int, default=20_000)
    chosen = parser.parse_args()
    tokens = make_rows(chosen.rows)
    lengths, everything = tokens.lengths, np.arange(len(tokens))
    steps = epoch_batches(everything, rows_per_step=ROWS_A_STEP, list_size=16, seed=0, epoch=0)
    packed = [one for step in steps for one in packed_passes(tokens, step, SLOTS)]
    buckets = list(chunks_by_tokens(lengths, SLOTS))
    in_steps = [step[one] for step in steps for one in by_length(lengths[step], SLOTS)]
    assert_equal(tokens, {"packed": packed, "buckets": buckets, "steps": in_steps})
    sorted_steps = np.array_split(np.argsort(lengths), len(steps))
    ours = packed_share(tokens, packed, pack)
    peers = {
        "padding_collator": collator_share(tokens, steps),
        "padding_collator_by_length": collator_share(tokens, sorted_steps),
    }
    versions = {}
    if chosen.peer_python:
        peers["trl_packing"], versions["trl_packing"] = trl_share(tokens, chosen.peer_python)
    finish(
        "data_path",
        {name: {"real_tokens_per_slot": single(ours / share)} for name, share in peers.items()},
        {
            "real_tokens_per_slot": ours,
            "real_tokens_per_slot_attention": attention_share(tokens, packed),
            "real_tokens_per_slot_encoder_scoring": padded_share(lengths, buckets),
            "real_tokens_per_slot_encoder_steps": packed_share(tokens, in_steps, pack_rows),
            **{f"real_tokens_per_slot_{name}": share for name, share in peers.items()},
        },
        versions,
        [] if chosen.peer_python else ["trl_packing"],
    )


if __name__ == "__main__":
    main()
