"""Contenders of `scoring`: every turn scores the same pairs; run in either environment."""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.contenders.turns import Turns, answer, hear, versions


def ours(folder: Path, pairs: list[list[str]], dtype: str) -> Any:
    from tasks.core.inputs import PairText
    from tasks.core.training import precision
    from tasks.core.training.scorer import PairScorer

    if dtype == "float32":
        precision.cpu_flags = frozenset
    scorer = PairScorer.load(folder)
    texts = [PairText(left, right) for left, right in pairs]
    return lambda: scorer.logits(texts)


def cross_encoder(folder: Path, pairs: list[list[str]], batch_size: int) -> Any:
    from sentence_transformers import CrossEncoder
    from torch.nn import Identity

    model = CrossEncoder(str(folder), device="cpu", max_length=512)
    # A causal scorer's template puts a line break between the two.
    between = "" if model.tokenizer.sep_token else "\n"
    texts = [(left + between, right) for left, right in pairs]
    return lambda: model.predict(
        texts, batch_size=batch_size, show_progress_bar=False, activation_fn=Identity()
    )


def main() -> None:
    """Arguments: who, the scorer's folder, the pairs, and a format or a batch size."""
    who, folder, pairs_path, detail = sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    pairs = json.loads(Path(pairs_path).read_text())
    if who == "ours":
        score, found = ours(folder, pairs, detail), versions("torch", "transformers")
    else:
        score = cross_encoder(folder, pairs, int(detail))
        found = versions("sentence-transformers", "transformers")
    hear()
    answer(scores=score().tolist(), versions=found)
    turns = Turns()
    while True:
        turns.begin()
        score()
        turns.end()


if __name__ == "__main__":
    main()
