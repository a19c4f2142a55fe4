"""Step: policy, queries and documents in; pairs worth a label out."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from tasks.allowed_queries import (
    allowed_queries,
    candidate_counts,
    check_choice,
    may_teach,
    with_choice,
)
from tasks.core.domain.catalog import Catalog
from tasks.core.retrieval.bm25 import Bm25Index
from tasks.core.retrieval.candidates import (
    PAIR_SCHEMA,
    find_candidates,
)
from tasks.core.retrieval.embeddings import Floats, TextEncoder
from tasks.core.retrieval.generated_queries import aim_at_kinds, generate_queries
from tasks.core.retrieval.near_duplicates import Ints, first_of_their_kind
from tasks.core.retrieval.query_kinds import query_kinds
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.tables import Row, read_rows, write_stream
from tasks.core.training.base_models import BaseModel
from tasks.exchange import GOLDEN, PAIRS, QUERIES, WRITTEN, Domain
from tasks.settings import BaseModelSettings, MixSettings, SynthesisSettings
from tasks.step import make, step

# Queries by template to choose from, per query wanted.
_POOL = 3


@step
def synthesize(
    domain: Domain,
    written: Artifact | None,
    encoder: BaseModelSettings,
    settings: SynthesisSettings,
    mix: MixSettings,
) -> Artifact:
    """Choose the pairs to label: no pair of a gate or sealed query, nor of its near-duplicates.

    Nor of a query that ``mix`` chooses students on. ``written`` are an LLM's queries; without them
    templates make some. Made queries that repeat an earlier one are dropped, and a query gets one
    of several documents that are nearly one.
    """
    base = BaseModel(**encoder.model_dump())
    has_log = domain.impressions is not None
    most = settings.most_pairs(has_log=has_log)

    def build(bench: Workbench) -> Counts:
        catalog = Catalog.load(domain.catalog.folder)
        golden = read_rows(domain.golden.file(GOLDEN))
        kept = with_choice(golden, mix, has_log=has_log)
        check_choice(kept)
        text_encoder = TextEncoder.of(base)
        found = _queries(domain, written, catalog, golden, settings)
        queries, vectors = _shuffled(
            *allowed_queries(found, golden, text_encoder, settings), settings
        )
        firsts = first_of_their_kind(catalog.retrieval_texts(), at_least=settings.near_duplicate)
        pairs = _candidates(queries, vectors, catalog, text_encoder, firsts, settings)
        # Left out at last, so that all others keep their pairs, whose labels may be paid.
        free = may_teach(queries, vectors, kept, text_encoder, max_tokens=settings.max_tokens)
        teaching = {row["query_id"] for row, one in zip(queries, free, strict=True) if one}
        pairs = (row for row in pairs if row["query_id"] in teaching)
        counts = _write(bench.out / PAIRS, islice(_each_once(pairs), most))
        repeated = int((firsts != np.arange(len(firsts))).sum())
        return {
            **counts,
            "queries_left_out": len(found) - int(free.sum()),
            "documents_repeated": repeated,
        }

    return make(
        "pairs",
        build,
        module=__name__,
        settings={
            **settings.model_dump(mode="json"),
            "most": most,
            "kept_share": mix.kept_share if has_log else 0.0,
            "encoder": base.fingerprint(),
        },
        upstream=[domain.golden, domain.catalog, domain.traffic, written],
    )


def _candidates(
    queries: list[Row],
    vectors: Floats,
    catalog: Catalog,
    encoder: TextEncoder,
    firsts: Ints,
    settings: SynthesisSettings,
) -> Iterator[Row]:
    """Pairs of each query with what words and vectors find, and with negatives."""
    texts = catalog.retrieval_texts()
    return find_candidates(
        queries,
        vectors,
        list(catalog.documents),
        encoder.embed(texts, max_tokens=settings.max_tokens),
        Bm25Index(texts),
        candidate_counts(settings),
        seed=settings.seed,
        firsts=firsts,
    )


def _each_once(pairs: Iterable[Row]) -> Iterator[Row]:
    seen: set[str] = set()
    for row in pairs:
        if row["pair_id"] not in seen:
            seen.add(row["pair_id"])
            yield row


def _write(path: Path, rows: Iterable[Row]) -> Counts:
    """Write pairs as they come; how many, of how many queries, and how many by source."""
    sources: Counter[str] = Counter()
    queries: set[str] = set()

    def counted() -> Iterator[Row]:
        for row in rows:
            sources[row["source"]] += 1
            queries.add(row["query_id"])
            yield row

    written = write_stream(path, counted(), PAIR_SCHEMA)
    return {"pairs": written, "queries": len(queries), **dict(sorted(sources.items()))}


def _queries(
    domain: Domain,
    written: Artifact | None,
    catalog: Catalog,
    golden: Sequence[Row],
    settings: SynthesisSettings,
) -> list[Row]:
    """Traffic to label: tune queries, the domain's own, then queries made from documents."""
    own = read_rows(domain.traffic.file(QUERIES)) if domain.traffic else []
    tune = {row["query_id"]: row for row in golden if row["split"] == "tune"}
    known = [{**_query(row), "source": ""} for row in (*tune.values(), *own)]
    generator = np.random.default_rng(settings.seed)
    made = (
        read_rows(written.file(WRITTEN), ["query", "member_id"])
        if written
        else _by_template(catalog, list(tune.values()), known, settings, generator)
    )
    return known + [
        {"query_id": f"generated-{number}", **row, "source": "generated_query"}
        for number, row in enumerate(made)
    ]


def _shuffled(
    queries: list[Row], vectors: Floats, settings: SynthesisSettings
) -> tuple[list[Row], Floats]:
    """In an order by chance, so that a cap on the pairs leaves a mixture of all sources."""
    order = np.random.default_rng(settings.seed).permutation(len(queries))
    return [queries[place] for place in order], vectors[order]


def _by_template(
    catalog: Catalog,
    tune: Sequence[Row],
    known: Sequence[Row],
    settings: SynthesisSettings,
    generator: np.random.Generator,
) -> list[Row]:
    """Queries by template, each with a member; first of the kinds that traffic lacks."""
    documents, members = list(catalog.documents.values()), sorted(catalog.members)
    made: list[Row] = [
        {
            "query_id": text,
            "query": text,
            "member_id": members[int(generator.integers(len(members)))] if members else "",
        }
        for text in generate_queries(
            documents, count=_POOL * settings.generated_queries, seed=settings.seed
        )
    ]
    kinds = query_kinds([*known, *made], documents, catalog.members)
    served = Counter(kinds[row["query_id"]] for row in known)
    lacking = {
        kind: settings.fewest_of_a_kind - served[kind]
        for kind in {kinds[row["query_id"]] for row in tune}
    }
    chosen = aim_at_kinds(
        [row["query"] for row in made],
        [kinds[row["query_id"]] for row in made],
        lacking,
        count=settings.generated_queries,
    )
    by_text = {row["query"]: row["member_id"] for row in made}
    return [{"query": text, "member_id": by_text[text]} for text in chosen]


def _query(row: Row) -> Row:
    return {name: row[name] for name in ("query_id", "query", "member_id")}
