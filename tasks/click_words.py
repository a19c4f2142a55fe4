"""Step: the whole training log in; what candidates' words say about clicks out."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.sparse import csr_matrix

from tasks.core.domain.catalog import Catalog
from tasks.core.policies.parse import parse_policy
from tasks.core.retrieval.document_vectors import Vectors
from tasks.core.retrieval.embeddings import TextEncoder
from tasks.core.retrieval.first_stage import retrieval_order, retrieval_scores
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.store.files import write_json
from tasks.core.tables import Row, read_rows, read_table, write_table
from tasks.core.training.base_models import BaseModel
from tasks.core.training.click_words import ClickWords, fit_click_words, top_words, words_said
from tasks.exchange import (
    PAIR_COLUMNS,
    POLICY,
    PROPENSITIES,
    TOP_WORDS,
    TRAINING_LOG,
    TRANSFER,
    Domain,
    known_vectors,
    list_numbers,
)
from tasks.settings import BaseModelSettings, ClickWordsSettings
from tasks.step import make, step

Floats = npt.NDArray[np.float64]


@step
def learn_click_words(
    domain: Domain,
    transfer: Artifact,
    impressions: Artifact | None,
    vectors: Artifact,
    encoder: BaseModelSettings,
    settings: ClickWordsSettings,
) -> Artifact | None:
    """Soft labels of the transfer set by a model that read the whole log; None without a log.

    They have the columns of a teacher's: those of the grades, of which words know nothing, are NaN.
    """
    if impressions is None or not settings.max_rows:
        return None
    base = BaseModel(**encoder.model_dump())

    def build(bench: Workbench) -> Counts:
        actions = impressions.json(PROPENSITIES)["actions"]
        log = _some(read_table(impressions.file(TRAINING_LOG)), settings)
        taught = read_rows(transfer.file(TRANSFER), list(PAIR_COLUMNS))
        catalog = Catalog.load(domain.catalog.folder)
        encoder = TextEncoder.of(base)
        said, model, known = learned_from_log(
            catalog, encoder, known_vectors(vectors), log, taught, actions, settings
        )
        grades = len(parse_policy(domain.policy.file(POLICY)).grades)
        logits = np.full((len(taught), grades + len(actions)), np.nan, dtype=np.float32)
        logits[:, grades:] = known
        columns = {"pair_id": [row["pair_id"] for row in taught], "logits": list(logits)}
        write_table(bench.out / "shard-00000.parquet", columns)
        write_json(bench.out / TOP_WORDS, top_words(model, said, actions))
        return {"rows": len(log), "words": len(model.vocabulary), "pairs": len(taught)}

    return make(
        "click_words",
        build,
        module=__name__,
        settings={**settings.model_dump(mode="json"), "encoder": base.fingerprint()},
        upstream=[domain.policy, domain.catalog, transfer, impressions, vectors],
    )


def learned_from_log(
    catalog: Catalog,
    encoder: TextEncoder,
    vectors: Vectors,
    log: Sequence[Row],
    taught: Sequence[Row],
    actions: Sequence[str],
    settings: ClickWordsSettings,
) -> tuple[csr_matrix, ClickWords, Floats]:
    """Who says which words, their model fitted on the log, and its logits of the taught rows.

    ``vectors`` are those of documents known by now. The logits have the shape (taught, actions).
    """
    places = {doc_id: place for place, doc_id in enumerate(catalog.documents)}
    vocabulary, said = words_said([catalog.judged_text(doc_id) for doc_id in places])
    rows = [*log, *taught]
    candidates = np.array([places[row["doc_id"]] for row in rows], dtype=np.int64)
    order = _order(catalog, encoder, vectors, rows)
    taken = np.array([[row[name] for name in actions] for row in log], dtype=np.float64)
    inverse = np.array([row["weight"] for row in log])
    # As the click teacher's: a click far down speaks for all that were never looked at.
    weights = np.where(taken > 0, inverse[:, None], 1.0)
    n = len(log)
    model = fit_click_words(
        vocabulary, said, candidates[:n], order[:n], taken, weights, l2=settings.l2
    )
    return said, model, model.logits(said, candidates[n:], order[n:])


def _some(log: pa.Table, settings: ClickWordsSettings) -> list[Row]:
    """At most as many rows as the settings say, in the log's order; no others enter memory."""
    drawn = np.random.default_rng(settings.seed).permutation(len(log))[: settings.max_rows]
    rows: list[Row] = log.take(np.sort(drawn)).to_pylist()
    return rows


def _order(catalog: Catalog, encoder: TextEncoder, vectors: Vectors, rows: Sequence[Row]) -> Floats:
    """Retrieval's order: how near a query the candidate is, which words alone do not say."""
    bm25, cosines = retrieval_scores(catalog, encoder, rows, vectors)
    queries = list_numbers([row["query"] for row in rows])
    return retrieval_order(np.array(cosines), np.array(bm25), queries)
