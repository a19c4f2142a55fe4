"""Step: every teacher scores the transfer set once; its raw logits stay on disk, by shard."""

from functools import partial

from tasks.core.distillation.soft_labels import score_shards
from tasks.core.domain.catalog import Catalog
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.store.files import digest_of
from tasks.core.store.source import source_digest
from tasks.core.tables import read_rows
from tasks.core.training.scorer import PairScorer, template_in
from tasks.exchange import SCORER, TRANSFER, Domain
from tasks.machine import processes
from tasks.run import current_run
from tasks.step import make, step


@step
def score(domain: Domain, teacher: Artifact | None, transfer: Artifact) -> Artifact | None:
    """Raw logits of one teacher for every transfer pair, a file per shard.

    A shard that this teacher scored for an earlier transfer set is not scored again.
    """
    if teacher is None:
        return None

    def build(bench: Workbench) -> Counts:
        rows = read_rows(transfer.file(TRANSFER))
        folder = teacher.file(SCORER)
        pairs = Catalog.load(domain.catalog.folder).pairs(template_in(folder), rows)
        shards = score_shards(
            partial(PairScorer.load, folder, for_scoring=True),
            [row["pair_id"] for row in rows],
            pairs,
            scorer_digest=digest_of([teacher.content_digest, source_digest(__name__)]),
            out=bench.out,
            scratch=bench.scratch,
            earlier=bench.out.parent,
            processes=processes(),
            progress=lambda done, total: current_run().progress("soft_labels", done, total),
        )
        return {"pairs": len(rows), "shards": shards}

    return make("soft_labels", build, module=__name__, upstream=[domain.catalog, teacher, transfer])
