"""Step: tune pairs that people graded, as rows to teach beside the judge's labels."""

import numpy as np

from tasks.allowed_queries import QUERY_TOKENS, free_of_leaks, with_choice
from tasks.core.domain.catalog import Catalog
from tasks.core.retrieval.embeddings import TextEncoder
from tasks.core.retrieval.first_stage import retrieval_scores
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.tables import Row, columns_of, read_rows, write_table
from tasks.core.training.base_models import BaseModel
from tasks.exchange import GOLDEN, PAIR_COLUMNS, PEOPLE, Domain, known_vectors, use_of
from tasks.settings import BaseModelSettings, MixSettings, PeopleSettings
from tasks.step import make, step


@step
def gather_people_grades(
    domain: Domain,
    vectors: Artifact,
    encoder: BaseModelSettings,
    settings: PeopleSettings,
    mix: MixSettings,
) -> Artifact | None:
    """A share of the tune queries with people's grades and retrieval's scores; None for no share.

    Queries that ``mix`` will choose students on are left out, and so are those that equal or
    nearly repeat one of these or of gate or sealed. Some calibrate, as of the judge's.
    """
    has_log = domain.impressions is not None
    kept_share = mix.kept_share if has_log else 0.0
    if not settings.tune_share * (1.0 - kept_share):
        return None
    base = BaseModel(**encoder.model_dump())

    def build(bench: Workbench) -> Counts:
        text_encoder = TextEncoder.of(base)
        golden = with_choice(read_rows(domain.golden.file(GOLDEN)), mix, has_log=has_log)
        rows = _drawn(golden, text_encoder, settings)
        catalog = Catalog.load(domain.catalog.folder)
        bm25, cosines = retrieval_scores(catalog, text_encoder, rows, known_vectors(vectors))
        graded = [{name: row[name] for name in (*PAIR_COLUMNS, "grade")} for row in rows]
        uses = [use_of(row["query_id"]) for row in rows]
        added = {"bm25": bm25, "cosine": cosines, "weight": [settings.weight] * len(rows)}
        write_table(bench.out / PEOPLE, columns_of(graded) | added | {"use": uses})
        counts = {"queries": len({row["query_id"] for row in rows})}
        return {"pairs": uses.count("train"), "calibrating": uses.count("calibrate"), **counts}

    return make(
        "people_grades",
        build,
        module=__name__,
        settings={
            **settings.model_dump(mode="json"),
            "kept_share": kept_share,
            "encoder": base.fingerprint(),
        },
        upstream=[domain.golden, domain.catalog, vectors],
    )


def _drawn(golden: list[Row], encoder: TextEncoder, settings: PeopleSettings) -> list[Row]:
    """Rows of a share of the tune queries, drawn by the seed; none that leaks."""
    tune = {row["query_id"]: row for row in golden if row["split"] == "tune"}
    queries = [tune[query_id] for query_id in sorted(tune)]
    free, _ = free_of_leaks(queries, golden, encoder, max_tokens=QUERY_TOKENS)
    order = np.random.default_rng(settings.seed).permutation(len(queries))
    order = order[: round(settings.tune_share * len(queries))]
    chosen = {queries[place]["query_id"] for place in order if free[place]}
    return [row for row in golden if row["query_id"] in chosen]
