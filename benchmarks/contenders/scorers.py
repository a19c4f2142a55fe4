"""Contenders of `scoring`: every turn scores the same pairs; run in either environment."""

import json
import sys
import time
from collections.abc import Callable
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
    """The peer's scoring; with ``batch_size`` 0, by the fastest of four, chosen here."""
    from sentence_transformers import CrossEncoder
    from torch.nn import Identity

    model = CrossEncoder(str(folder), device="cpu", max_length=512)
    # A causal scorer's template puts a line break between the two.
    between = "" if model.tokenizer.sep_token else "\n"
    texts = [(left + between, right) for left, right in pairs]

    def score(some: list[tuple[str, str]], size: int) -> Any:
        return model.predict(
            some, batch_size=size, show_progress_bar=False, activation_fn=Identity()
        )

    chosen = batch_size or fastest(score, texts[::4])
    return chosen, lambda: score(texts, chosen)


def fastest(score: Callable[[Any, int], Any], texts: list[tuple[str, str]]) -> int:
    """The size whose better turn of two is the shorter one; CPU time, since others work too."""
    seconds: dict[int, list[float]] = {16: [], 32: [], 64: [], 128: []}
    for size in [*seconds, *seconds]:
        started = time.process_time()
        score(texts, size)
        seconds[size].append(time.process_time() - started)
    return min(seconds, key=lambda size: min(seconds[size]))


def main() -> None:
    """Arguments: who, the scorer's folder, the pairs, and a format or a batch size."""
    who, folder, pairs_path, detail = sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    pairs = json.loads(Path(pairs_path).read_text())
    hear()
    if who == "ours":
        score, found = ours(folder, pairs, detail), versions("torch", "transformers")
    else:
        batch_size, score = cross_encoder(folder, pairs, int(detail))
        found = versions("sentence-transformers", "transformers")
        found["batch_size"] = str(batch_size)
    answer(scores=score().tolist(), versions=found)
    turns = Turns()
    while True:
        turns.begin()
        score()
        turns.end()


if __name__ == "__main__":
    main()
