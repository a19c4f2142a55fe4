"""Step: every teacher scores the transfer set once; its raw logits stay on disk, by shard."""

import sys

from tasks.core.distillation.soft_labels import score_shards
from tasks.core.domain.catalog import Catalog
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.store.files import digest_of
from tasks.core.store.source import source_digest
from tasks.core.tables import Row, columns_of, read_rows, write_table
from tasks.core.training.scorer import PairScorer
from tasks.exchange import PAIR_COLUMNS, SCORER, TRANSFER, Domain, graded_rows, shown_rows
from tasks.run import current_run
from tasks.step import make, step


@step
def gather_transfer_set(
    judgments: Artifact, people: Artifact | None, impressions: Artifact | None
) -> Artifact:
    """The pairs that students learn from: graded ones and shown ones, each once."""

    def build(bench: Workbench) -> Counts:
        graded = graded_rows(judgments, people, most=sys.maxsize)
        shown = shown_rows(impressions, "train")
        rows: dict[str, Row] = {}
        for row in [*graded, *shown]:
            found = {name: row.get(name, float("nan")) for name in ("bm25", "cosine")}
            rows.setdefault(row["pair_id"], {**{name: row[name] for name in PAIR_COLUMNS}, **found})
        write_table(bench.out / TRANSFER, columns_of(list(rows.values())))
        return {"pairs": len(rows), "graded": len(graded)}

    return make("transfer_set", build, module=__name__, upstream=[judgments, people, impressions])


@step
def score(domain: Domain, teacher: Artifact | None, transfer: Artifact) -> Artifact | None:
    """Raw logits of one teacher for every transfer pair, a file per shard.

    A shard that this teacher scored for an earlier transfer set is not scored again.
    """
    if teacher is None:
        return None

    def build(bench: Workbench) -> Counts:
        rows = read_rows(transfer.file(TRANSFER))
        scorer = PairScorer.load(teacher.file(SCORER), for_scoring=True)
        pairs = Catalog.load(domain.catalog.folder).pairs(scorer.template, rows)
        shards = score_shards(
            scorer,
            [row["pair_id"] for row in rows],
            pairs,
            scorer_digest=digest_of([teacher.content_digest, source_digest(__name__)]),
            out=bench.out,
            scratch=bench.scratch,
            earlier=bench.out.parent,
            progress=lambda done, total: current_run().progress("soft_labels", done, total),
        )
        return {"pairs": len(rows), "shards": shards}

    return make("soft_labels", build, module=__name__, upstream=[domain.catalog, teacher, transfer])
