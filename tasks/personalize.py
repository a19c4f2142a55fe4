"""Step: the served scorer's click logit as an offset; random effects per member and per job."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.core.domain.catalog import Catalog
from tasks.core.intervals import bootstrap_statistic, number_clusters
from tasks.core.personalization.coordinate_descent import coordinate_descent
from tasks.core.personalization.features import PairFeatureMap, fit_pair_features, pair_features
from tasks.core.personalization.game_files import save_game
from tasks.core.personalization.game_model import GameModel, GivenScores, RandomEffect
from tasks.core.personalization.options import RandomEffectOptions
from tasks.core.personalization.rows import Rows, ScoreTable
from tasks.core.ranking import weighted_auc
from tasks.core.retrieval.embeddings import TextEncoder
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.store.files import write_json
from tasks.core.tables import Row, write_table
from tasks.core.training.base_models import BaseModel
from tasks.core.training.scorer import PairScorer
from tasks.exchange import EFFECTS, PERSONALIZATION, SCORER, Domain, shown_rows
from tasks.run import current_run
from tasks.settings import BaseModelSettings, PersonalizationSettings
from tasks.step import make, step

FIXED = "student"
Floats = npt.NDArray[np.float64]


@step
def personalize(
    domain: Domain,
    scorer: Artifact,
    impressions: Artifact | None,
    encoder: BaseModelSettings,
    settings: PersonalizationSettings,
) -> Artifact | None:
    """Fit random effects on impressions the scorer never saw; test them on later ones."""
    if impressions is None:
        return None
    base = BaseModel(**encoder.model_dump())
    fitting = shown_rows(impressions, "personalize")
    later = _seen_before(fitting, shown_rows(impressions, "later"))
    if not later:
        current_run().skip("personalization", "no member was seen early and again later")
        return None

    def build(bench: Workbench) -> Counts:
        catalog = Catalog.load(domain.catalog.folder)
        loaded = PairScorer.load(scorer.file(SCORER))
        vectors = _document_vectors(TextEncoder.of(base), catalog, [*fitting, *later])
        logits = [_click_logits(loaded, catalog, rows) for rows in (fitting, later)]
        feature_map = fit_pair_features(
            np.array(list(vectors.values())),
            logits[0][:, None],
            ("click_logit",),
            dimensions=settings.embedding_dimensions,
            seed=settings.seed,
        )
        tables = [
            _rows(rows, values, feature_map, vectors)
            for rows, values in zip((fitting, later), logits, strict=True)
        ]
        offsets = ScoreTable([*tables[0].row_ids, *tables[1].row_ids], np.concatenate(logits))
        model = coordinate_descent(
            tables[0],
            [GivenScores(FIXED, offsets), *_effects(settings)],
            passes=settings.passes,
        )
        _save(bench.out / EFFECTS, model, feature_map, vectors)
        write_json(bench.out / PERSONALIZATION, _metrics(model, tables[1], logits[1], later))
        return {"fitting_rows": len(fitting), "later_rows": len(later)}

    return make(
        "effects",
        build,
        module=__name__,
        settings={**settings.model_dump(mode="json"), "encoder": base.fingerprint()},
        upstream=[domain.catalog, scorer, impressions],
    )


def _seen_before(fitting: Sequence[Row], later: Sequence[Row]) -> list[Row]:
    members = {row["member_id"] for row in fitting}
    return [row for row in later if row["member_id"] in members]


def _click_logits(scorer: PairScorer, catalog: Catalog, rows: Sequence[Row]) -> Floats:
    """Raw logit of the first action, shape (rows,)."""
    current_run().progress("effects", 0, 1)
    logits = scorer.logits(catalog.pairs(scorer.template, rows))
    return logits[:, scorer.outputs.grade_count].astype(np.float64)


def _document_vectors(
    encoder: TextEncoder, catalog: Catalog, rows: Sequence[Row]
) -> dict[str, npt.NDArray[np.float32]]:
    doc_ids = sorted({row["doc_id"] for row in rows})
    texts = [catalog.judged_text(doc_id) for doc_id in doc_ids]
    return dict(zip(doc_ids, encoder.embed(texts, max_tokens=64), strict=True))


def _rows(
    rows: Sequence[Row],
    logits: Floats,
    feature_map: PairFeatureMap,
    vectors: dict[str, npt.NDArray[np.float32]],
) -> Rows:
    embeddings = np.array([vectors[row["doc_id"]] for row in rows])
    return Rows(
        row_ids=[f"{row['impression_id']}:{row['position']}:{row['doc_id']}" for row in rows],
        labels=np.array([row["clicked"] for row in rows], dtype=np.float64),
        features={"pair": pair_features(feature_map, logits[:, None], embeddings)},
        entity_ids={
            "member": [row["member_id"] for row in rows],
            "job": [row["doc_id"] for row in rows],
        },
        feature_names={"pair": feature_map.names},
    )


def _effects(settings: PersonalizationSettings) -> list[RandomEffect]:
    """Members have tastes in jobs, so their effect has features; a job has an appeal alone."""
    options = RandomEffectOptions(
        l2_weight=settings.l2_weight,
        intercept="penalized",
        lower_bound=settings.lower_bound,
        seed=settings.seed,
    )
    features = {"member": "pair", "job": None}
    return [
        RandomEffect(f"per_{entity}", entity, features[entity], options)
        for entity in settings.coordinates
    ]


def _save(
    folder: Path,
    model: GameModel,
    feature_map: PairFeatureMap,
    vectors: dict[str, npt.NDArray[np.float32]],
) -> None:
    save_game(model, folder)
    feature_map.save(folder / "features.safetensors")
    write_table(
        folder / "document_vectors.parquet",
        {"doc_id": list(vectors), "vector": list(vectors.values())},
    )


def _metrics(
    model: GameModel, rows: Rows, fixed: Floats, later: Sequence[Row]
) -> dict[str, object]:
    """The report's personalization part, on later impressions of members seen before."""
    labels = rows.checked_labels()
    scores = model.coordinate_scores(rows)
    members = number_clusters([row["member_id"] for row in later])
    total = np.sum(list(scores.values()), axis=0)

    def interval(values: Floats) -> dict[str, float | int]:
        return bootstrap_statistic(lambda w: weighted_auc(labels, values, w), members).to_json()

    def gain(weights: Floats) -> float:
        return weighted_auc(labels, total, weights) - weighted_auc(labels, fixed, weights)

    summaries = {name: effect.report.summary() for name, effect in model.models.items()}
    return {
        "auc_fixed": interval(fixed),
        "auc_personal": interval(total),
        "passes": _by_coordinate(model, scores, labels),
        "entities": {
            name: {key: int(summary[key]) for key in ("trained", "passive", "single_class")}
            for name, summary in summaries.items()
        },
        "gain": bootstrap_statistic(gain, members).to_json(),
    }


def _by_coordinate(
    model: GameModel, scores: dict[str, Floats], labels: Floats
) -> list[dict[str, object]]:
    """Area under the curve as the coordinates of the final model are added one by one.

    The model was chosen without these rows, so they may report on it.
    """
    total, found = np.zeros(len(labels)), []
    for name, score in scores.items():
        total = total + score
        auc = weighted_auc(labels, total, np.ones(len(labels)))
        last = max((step.descent_pass for step in model.history), default=1)
        found.append({"coordinate": name, "pass": last, "auc": auc})
    return found
