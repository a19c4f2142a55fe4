"""Step: a second round of pairs, where retrieval promises more than the judge granted."""

from tasks.core.domain.catalog import Catalog
from tasks.core.retrieval.bm25 import Bm25Index
from tasks.core.retrieval.disagreements import mine_disagreements
from tasks.core.retrieval.embeddings import TextEncoder
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.tables import columns_of, read_rows, write_table
from tasks.core.training.base_models import BaseModel
from tasks.exchange import JUDGMENTS, PAIRS, Domain
from tasks.settings import BaseModelSettings, SynthesisSettings
from tasks.step import make, step


@step
def mine_pairs(
    domain: Domain,
    pairs: Artifact,
    judgments: Artifact,
    encoder: BaseModelSettings,
    settings: SynthesisSettings,
) -> Artifact | None:
    """The first round's pairs and hard negatives beside them; None where no round is wanted."""
    if not settings.second_round_pairs:
        return None
    base = BaseModel(**encoder.model_dump())

    def build(bench: Workbench) -> Counts:
        catalog = Catalog.load(domain.catalog.folder)
        text_encoder = TextEncoder.of(base)
        first, labels = read_rows(pairs.file(PAIRS)), read_rows(judgments.file(JUDGMENTS))
        queries = sorted({row["query"] for row in labels})
        vectors = text_encoder.embed(queries, max_tokens=settings.max_tokens)
        texts = catalog.retrieval_texts()
        mined = mine_disagreements(
            labels,
            dict(zip(queries, vectors, strict=True)),
            list(catalog.documents),
            text_encoder.embed(texts, max_tokens=settings.max_tokens),
            Bm25Index(texts),
            count=settings.second_round_pairs,
            per_query=settings.hard_negatives or 1,
        )
        write_table(bench.out / PAIRS, columns_of([*first, *mined]))
        return {"pairs": len(first) + len(mined), "mined": len(mined)}

    return make(
        "pairs",
        build,
        module=__name__,
        settings={
            "count": settings.second_round_pairs,
            "per_query": settings.hard_negatives,
            "max_tokens": settings.max_tokens,
            "encoder": base.fingerprint(),
        },
        upstream=[domain.catalog, pairs, judgments],
    )
