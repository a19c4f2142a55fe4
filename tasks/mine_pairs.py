"""Step: a second round of pairs, at what the first left unexercised and where it went wrong."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path

from tasks.allowed_queries import allowed_queries, candidate_counts, with_choice
from tasks.core.domain.catalog import Catalog
from tasks.core.retrieval.bm25 import Bm25Index
from tasks.core.retrieval.candidates import PAIR_SCHEMA, find_candidates
from tasks.core.retrieval.disagreements import mine_disagreements
from tasks.core.retrieval.embeddings import Floats, TextEncoder
from tasks.core.retrieval.missing_grades import pairs_near_grades
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.tables import Row, iterate_rows, read_rows, write_stream
from tasks.core.training.base_models import BaseModel
from tasks.exchange import COVERAGE, GOLDEN, JUDGMENTS, PAIRS, WRITTEN, Domain
from tasks.settings import BaseModelSettings, MixSettings, SynthesisSettings
from tasks.step import make, step

# All that the second round needs to know of a label: 200,000 rows of it fit in memory.
_READ = ["pair_id", "query_id", "query", "member_id", "doc_id", "grade", "bm25", "cosine"]


@step
def mine_pairs(
    domain: Domain,
    pairs: Artifact,
    judgments: Artifact,
    aimed: Artifact | None,
    encoder: BaseModelSettings,
    settings: SynthesisSettings,
    mix: MixSettings,
) -> Artifact:
    """The first round's pairs and further ones beside them.

    First candidates of ``aimed``, queries that an LLM wrote for clauses and kinds that no label
    exercises; then pairs for grades that nobody gave; then hard negatives.
    """
    base = BaseModel(**encoder.model_dump())

    def build(bench: Workbench) -> Counts:
        first = pairs.file(PAIRS)
        library = _Library(domain, TextEncoder.of(base), settings, mix)
        known = {row["pair_id"] for row in read_rows(first, ["pair_id"])}
        labels = read_rows(judgments.file(JUDGMENTS), _READ)
        coverage = judgments.json(COVERAGE)["grades"]
        missing = [int(grade) for grade, count in coverage.items() if not count]
        written = read_rows(aimed.file(WRITTEN), ["query", "member_id"]) if aimed else []
        sources = {
            "for_holes": library.of_queries(written, labels),
            "for_grades": library.near_grades(labels, missing),
            "mined": library.disagreements(labels),
        }
        return _write(bench.out / PAIRS, first, sources, known, settings.second_round_pairs)

    return make(
        "pairs",
        build,
        module=__name__,
        settings={
            **settings.model_dump(mode="json", exclude={"generated_queries", "max_pairs"}),
            "kept_share": mix.kept_share if domain.impressions else 0.0,
            "encoder": base.fingerprint(),
        },
        upstream=[domain.golden, domain.catalog, pairs, judgments, aimed],
    )


def _write(
    path: Path, first: Path, sources: Mapping[str, Iterator[Row]], known: set[str], most: int
) -> Counts:
    """The first round's pairs, then ``most`` new ones, source after source; counts by source."""
    counts = dict.fromkeys(sources, 0)

    def more() -> Iterator[Row]:
        for name, rows in sources.items():
            for row in rows:
                if row["pair_id"] not in known:
                    known.add(row["pair_id"])
                    counts[name] += 1
                    yield row

    written = write_stream(path, chain(iterate_rows(first), islice(more(), most)), PAIR_SCHEMA)
    return {"pairs": written, **counts}


class _Library:
    """The catalog as the second round searches it."""

    def __init__(
        self, domain: Domain, encoder: TextEncoder, settings: SynthesisSettings, mix: MixSettings
    ) -> None:
        catalog = Catalog.load(domain.catalog.folder)
        texts = catalog.retrieval_texts()
        golden = read_rows(domain.golden.file(GOLDEN), ["query", "split"])
        self._golden = with_choice(golden, mix, has_log=domain.impressions is not None)
        self._encoder, self._settings = encoder, settings
        self._doc_ids, self._index = list(catalog.documents), Bm25Index(texts)
        self._vectors = encoder.embed(texts, max_tokens=settings.max_tokens)

    def of_queries(self, written: Sequence[Row], labels: Sequence[Row]) -> Iterator[Row]:
        """Candidates of written queries that repeat none before them, and none of the gate."""
        asked = {row["query"]: {**row, "source": ""} for row in labels}
        queries = [
            {"query_id": f"aimed-{number}", **row, "source": "generated_query"}
            for number, row in enumerate(written)
        ]
        if not queries:
            return iter(())
        allowed, vectors = allowed_queries(
            [*asked.values(), *queries], self._golden, self._encoder, self._settings
        )
        fresh = [place for place, row in enumerate(allowed) if row["source"]]
        return find_candidates(
            [allowed[place] for place in fresh],
            vectors[fresh],
            self._doc_ids,
            self._vectors,
            self._index,
            candidate_counts(self._settings),
            seed=self._settings.seed,
        )

    def near_grades(self, labels: Sequence[Row], missing: Sequence[int]) -> Iterator[Row]:
        """Pairs for grades without a label: half of the round at most."""
        if missing:
            yield from pairs_near_grades(
                labels,
                missing,
                self._query_vectors(labels),
                self._doc_ids,
                self._vectors,
                self._index,
                count=self._settings.second_round_pairs // 2,
            )

    def disagreements(self, labels: Sequence[Row]) -> Iterator[Row]:
        """Hard negatives of the queries where retrieval promises most beyond the judge's grade."""
        yield from mine_disagreements(
            labels,
            self._query_vectors(labels),
            self._doc_ids,
            self._vectors,
            self._index,
            count=self._settings.second_round_pairs,
            per_query=self._settings.hard_negatives or 1,
        )

    def _query_vectors(self, labels: Sequence[Row]) -> Mapping[str, Floats]:
        queries = sorted({row["query"] for row in labels})
        vectors = self._encoder.embed(queries, max_tokens=self._settings.max_tokens)
        return dict(zip(queries, vectors, strict=True))
