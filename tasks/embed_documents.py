"""Steps: vectors of the documents that people graded, and of those that members were shown."""

from collections.abc import Iterable

import pyarrow.compute as pc

from tasks.core.domain.catalog import Catalog
from tasks.core.retrieval.document_vectors import Vectors, document_vectors
from tasks.core.retrieval.embeddings import TextEncoder
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.tables import read_table, write_table
from tasks.core.training.base_models import BaseModel
from tasks.exchange import GOLDEN, IMPRESSIONS, VECTORS, Domain, known_vectors
from tasks.settings import BaseModelSettings
from tasks.step import make, step


@step
def embed_graded(domain: Domain, encoder: BaseModelSettings) -> Artifact:
    """Vectors of graded documents.

    They know nothing of the log, so that a new day of clicks changes no bit of what people's
    grades are taught with.
    """
    base = BaseModel(**encoder.model_dump())

    def build(bench: Workbench) -> Counts:
        doc_ids = read_table(domain.golden.file(GOLDEN), ["doc_id"])["doc_id"]
        return _write(bench, domain, base, pc.unique(doc_ids).to_pylist(), {})

    return make(
        "graded_vectors",
        build,
        module=__name__,
        settings={"encoder": base.fingerprint()},
        upstream=[domain.golden, domain.catalog],
    )


@step
def embed_shown(
    domain: Domain, graded: Artifact, impressions: Artifact | None, encoder: BaseModelSettings
) -> Artifact:
    """The graded ones' vectors and those of documents in the impressions drawn, if any.

    What else a stage needs (candidates that a judge alone saw, or of the whole log) it embeds
    itself: a catalog may hold many more documents than anybody asks for.
    """
    if impressions is None:
        return graded
    base = BaseModel(**encoder.model_dump())

    def build(bench: Workbench) -> Counts:
        known = known_vectors(graded)
        shown = pc.unique(read_table(impressions.file(IMPRESSIONS), ["doc_id"])["doc_id"])
        return _write(bench, domain, base, {*known, *shown.to_pylist()}, known)

    return make(
        "shown_vectors",
        build,
        module=__name__,
        settings={"encoder": base.fingerprint()},
        upstream=[domain.catalog, impressions, graded],
    )


def _write(
    bench: Workbench, domain: Domain, base: BaseModel, doc_ids: Iterable[str], known: Vectors
) -> Counts:
    catalog = Catalog.load(domain.catalog.folder)
    vectors = document_vectors(TextEncoder.of(base), catalog, doc_ids, known)
    columns = {"doc_id": list(vectors), "vector": list(vectors.values())}
    return {"documents": write_table(bench.out / VECTORS, columns)}
