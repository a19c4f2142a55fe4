"""Step: the pairs that students learn from, of queries that nothing else measures."""

import sys
from collections.abc import Collection, Sequence

from tasks.allowed_queries import QUERY_TOKENS, free_of_leaks, with_choice
from tasks.core.retrieval.embeddings import TextEncoder
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.tables import Row, columns_of, read_rows, write_table
from tasks.core.text import normalize_query
from tasks.core.training.base_models import BaseModel
from tasks.exchange import (
    GOLDEN,
    PAIR_COLUMNS,
    TRANSFER,
    Domain,
    calibrating_rows,
    graded_rows,
    shown_rows,
    use_of,
)
from tasks.settings import BaseModelSettings, MixSettings
from tasks.step import make, step


@step
def gather_transfer_set(
    domain: Domain,
    judgments: Artifact,
    people: Artifact | None,
    impressions: Artifact | None,
    encoder: BaseModelSettings,
    mix: MixSettings,
) -> Artifact:
    """The pairs that students learn from: graded ones and shown ones, each once.

    Shown ones are of queries that may be graded for training: none that calibrates, and none that
    equals or nearly repeats one of gate or sealed, whose clicks come with the log as any other's,
    or one that ``mix`` chooses students on.
    """
    base = BaseModel(**encoder.model_dump())
    has_log = impressions is not None

    def build(bench: Workbench) -> Counts:
        graded = graded_rows(judgments, people, most=sys.maxsize)
        shown = shown_rows(impressions, "train")
        golden = read_rows(domain.golden.file(GOLDEN), ["query", "split"])
        golden = with_choice(golden, mix, has_log=has_log)
        calibrating = {row["query"] for row in calibrating_rows(judgments, people)}
        kept = _that_may_teach(shown, golden, calibrating, base) if shown else []
        rows: dict[str, Row] = {}
        for row in [*graded, *kept]:
            found = {name: row.get(name, float("nan")) for name in ("bm25", "cosine")}
            rows.setdefault(row["pair_id"], {**{name: row[name] for name in PAIR_COLUMNS}, **found})
        write_table(bench.out / TRANSFER, columns_of(list(rows.values())))
        return {
            "pairs": len(rows),
            "graded": len(graded),
            "shown_left_out": len(shown) - len(kept),
        }

    return make(
        "transfer_set",
        build,
        module=__name__,
        settings={
            "encoder": base.fingerprint(),
            "kept_share": mix.kept_share if has_log else 0.0,
        },
        upstream=[domain.golden, judgments, people, impressions],
    )


def _that_may_teach(
    shown: Sequence[Row], golden: Sequence[Row], calibrating: Collection[str], base: BaseModel
) -> list[Row]:
    """Shown rows of queries that measure nothing, by text: a log may number its queries anew."""
    held = {normalize_query(text) for text in calibrating}
    texts = sorted({row["query"] for row in shown if normalize_query(row["query"]) not in held})
    queries = [{"query": text} for text in texts]
    free, _ = free_of_leaks(queries, golden, TextEncoder.of(base), max_tokens=QUERY_TOKENS)
    allowed = {text for text, is_free in zip(texts, free, strict=True) if is_free}
    return [row for row in shown if row["query"] in allowed and use_of(row["query_id"]) == "train"]
