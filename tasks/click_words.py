"""Step: the whole training log in; what candidates' words say about clicks out."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from tasks.core.domain.catalog import Catalog
from tasks.core.retrieval.embeddings import TextEncoder
from tasks.core.retrieval.first_stage import retrieval_order, retrieval_scores
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.store.files import write_json
from tasks.core.tables import Row, columns_of, read_rows, write_table
from tasks.core.training.base_models import BaseModel
from tasks.core.training.click_words import ClickWords, fit_click_words, top_words, words_said
from tasks.exchange import (
    CLICK_WORDS,
    PAIR_COLUMNS,
    PROPENSITIES,
    TOP_WORDS,
    TRAINING_LOG,
    Domain,
    graded_rows,
    list_numbers,
    shown_rows,
)
from tasks.settings import BaseModelSettings, ClickWordsSettings
from tasks.step import make, step

Floats = npt.NDArray[np.float64]


@step
def learn_click_words(
    domain: Domain,
    judgments: Artifact,
    people: Artifact | None,
    impressions: Artifact | None,
    encoder: BaseModelSettings,
    settings: ClickWordsSettings,
) -> Artifact | None:
    """Logits of each action for every pair that may teach; None without a log, or for no share."""
    if impressions is None or not settings.share:
        return None
    base = BaseModel(**encoder.model_dump())

    def build(bench: Workbench) -> Counts:
        catalog, text_encoder = Catalog.load(domain.catalog.folder), TextEncoder.of(base)
        actions = impressions.json(PROPENSITIES)["actions"]
        log = _some(read_rows(impressions.file(TRAINING_LOG)), settings)
        pairs = [*graded_rows(judgments, people), *shown_rows(impressions, "train")]
        taught = list({row["pair_id"]: row for row in pairs}.values())
        taken = np.array([[row[name] for name in actions] for row in log], dtype=np.float64)
        inverse = np.array([row["weight"] for row in log])
        weights = np.where(taken > 0, inverse[:, None], 1.0)
        said, model, logits = words_and_logits(
            catalog, text_encoder, log, taken, weights, taught, l2=settings.l2
        )
        columns = columns_of([{name: row[name] for name in PAIR_COLUMNS} for row in taught])
        write_table(bench.out / CLICK_WORDS, columns | {"logits": list(logits)})
        write_json(bench.out / TOP_WORDS, top_words(model, said, actions))
        return {"rows": len(log), "words": len(model.vocabulary), "pairs": len(taught)}

    return make(
        "click_words",
        build,
        module=__name__,
        settings={**settings.model_dump(mode="json"), "encoder": base.fingerprint()},
        upstream=[domain.catalog, judgments, people, impressions],
    )


def words_and_logits(
    catalog: Catalog,
    encoder: TextEncoder,
    log: Sequence[Row],
    taken: Floats,
    weights: Floats,
    taught: Sequence[Row],
    *,
    l2: float,
) -> tuple[csr_matrix, ClickWords, Floats]:
    """Who says which words, their model fitted on the log, and its logits of the taught rows."""
    places = {doc_id: place for place, doc_id in enumerate(catalog.documents)}
    vocabulary, said = words_said([catalog.judged_text(doc_id) for doc_id in places])
    candidates, order = _places(places, log), _order(catalog, encoder, log)
    model = fit_click_words(vocabulary, said, candidates, order, taken, weights, l2=l2)
    asked = _order(catalog, encoder, taught)
    return said, model, model.logits(said, _places(places, taught), asked)


def _some(log: list[Row], settings: ClickWordsSettings) -> list[Row]:
    """At most as many rows as the settings say, in the log's order."""
    drawn = np.random.default_rng(settings.seed).permutation(len(log))[: settings.max_rows]
    return [log[place] for place in np.sort(drawn)]


def _places(places: dict[str, int], rows: Sequence[Row]) -> npt.NDArray[np.int64]:
    return np.array([places[row["doc_id"]] for row in rows], dtype=np.int64)


def _order(catalog: Catalog, encoder: TextEncoder, rows: Sequence[Row]) -> Floats:
    """Retrieval's order: how near a query the candidate is, which words alone do not say."""
    bm25, cosines = retrieval_scores(catalog, encoder, rows)
    queries = list_numbers([row["query"] for row in rows])
    return retrieval_order(np.array(cosines), np.array(bm25), queries)
