"""Step: policy, queries and documents in; pairs worth a label out."""

from collections.abc import Sequence

import numpy as np

from tasks.core.domain.catalog import Catalog
from tasks.core.retrieval.bm25 import Bm25Index
from tasks.core.retrieval.candidates import CandidateCounts, block_leaks, find_candidates
from tasks.core.retrieval.embeddings import TextEncoder
from tasks.core.retrieval.generated_queries import generate_queries
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.tables import Row, columns_of, read_rows, write_table
from tasks.core.training.base_models import BaseModel
from tasks.exchange import GOLDEN, PAIRS, QUERIES, Domain
from tasks.settings import BaseModelSettings, SynthesisSettings
from tasks.step import make, step


@step
def synthesize(domain: Domain, encoder: BaseModelSettings, settings: SynthesisSettings) -> Artifact:
    """Choose the pairs to label: no pair of a gate or sealed query, nor of its near-duplicates."""
    base = BaseModel(**encoder.model_dump())

    def build(bench: Workbench) -> Counts:
        catalog = Catalog.load(domain.catalog.folder)
        golden = read_rows(domain.golden.file(GOLDEN))
        text_encoder = TextEncoder.of(base)
        queries = _allowed(
            _queries(domain, catalog, golden, settings), golden, text_encoder, settings
        )
        texts = catalog.retrieval_texts()
        pairs = find_candidates(
            queries,
            text_encoder.embed([row["query"] for row in queries], max_tokens=settings.max_tokens),
            list(catalog.documents),
            text_encoder.embed(texts, max_tokens=settings.max_tokens),
            Bm25Index(texts),
            CandidateCounts(
                settings.lexical_candidates,
                settings.dense_candidates,
                settings.hard_negatives,
                settings.random_negatives,
            ),
            seed=settings.seed,
        )
        rows = list({row["pair_id"]: row for row in pairs}.values())[: settings.max_pairs]
        write_table(bench.out / PAIRS, columns_of(rows))
        sources = sorted({row["source"] for row in rows})
        counted = {source: sum(row["source"] == source for row in rows) for source in sources}
        return {"pairs": len(rows), "queries": len({r["query_id"] for r in rows}), **counted}

    return make(
        "pairs",
        build,
        module=__name__,
        settings={**settings.model_dump(mode="json"), "encoder": base.fingerprint()},
        upstream=[domain.golden, domain.catalog, domain.traffic],
    )


def _queries(
    domain: Domain, catalog: Catalog, golden: Sequence[Row], settings: SynthesisSettings
) -> list[Row]:
    """Traffic to label: tune queries, the domain's own, and queries made from documents.

    Shuffled, so that a cap on the pairs leaves a mixture of all three.
    """
    own = read_rows(domain.traffic.file(QUERIES)) if domain.traffic else []
    tune = {row["query_id"]: row for row in golden if row["split"] == "tune"}
    made = generate_queries(
        list(catalog.documents.values()), count=settings.generated_queries, seed=settings.seed
    )
    members = sorted(catalog.members)
    generator = np.random.default_rng(settings.seed)
    rows = [
        *({**_query(row), "source": ""} for row in tune.values()),
        *({**_query(row), "source": ""} for row in own),
        *(
            {
                "query_id": f"generated-{number}",
                "query": text,
                "member_id": members[int(generator.integers(len(members)))] if members else "",
                "source": "generated_query",
            }
            for number, text in enumerate(made)
        ),
    ]
    return [rows[index] for index in generator.permutation(len(rows))]


def _query(row: Row) -> Row:
    return {name: row[name] for name in ("query_id", "query", "member_id")}


def _allowed(
    queries: list[Row], golden: Sequence[Row], encoder: TextEncoder, settings: SynthesisSettings
) -> list[Row]:
    blocked = sorted({row["query"] for row in golden if row["split"] != "tune"})
    texts = [row["query"] for row in queries]
    allowed = block_leaks(
        queries,
        encoder.embed(texts, max_tokens=settings.max_tokens),
        blocked,
        encoder.embed(blocked, max_tokens=settings.max_tokens),
    )
    return [row for row, free in zip(queries, allowed, strict=True) if free]
