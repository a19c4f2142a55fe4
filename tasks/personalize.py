"""Step: the served scorer's click logit as an offset; random effects on top of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.core.domain.catalog import Catalog
from tasks.core.intervals import bootstrap_statistic, number_clusters
from tasks.core.personalization.effects import PAIR, Effects, PairView, given_to, kinds_of
from tasks.core.personalization.features import fit_pair_features
from tasks.core.personalization.game_model import GivenScores, RandomEffect
from tasks.core.personalization.options import RandomEffectOptions
from tasks.core.personalization.rows import ScoreTable
from tasks.core.personalization.selection import Selected, fit_selected, l2_weights
from tasks.core.personalization.sharded_fit import fit_in_shards
from tasks.core.ranking import weighted_auc
from tasks.core.retrieval.document_vectors import Vectors, document_vectors
from tasks.core.retrieval.embeddings import TextEncoder
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.store.files import write_json
from tasks.core.tables import Row, write_table
from tasks.core.training.base_models import BaseModel
from tasks.core.training.scorer import PairScorer
from tasks.exchange import (
    EFFECTS,
    PERSONAL_SCORES,
    PERSONALIZATION,
    SCORER,
    Domain,
    known_vectors,
    personal_rows,
)
from tasks.personal_settings import EffectSettings, PersonalizationSettings
from tasks.run import current_run
from tasks.settings import BaseModelSettings
from tasks.step import make, step

FIXED = "student"
UNTOLD = "later rows of members seen before hold no click, or nothing else, to test effects by"
Floats = npt.NDArray[np.float64]


@step
def personalize(
    domain: Domain,
    scorer: Artifact,
    impressions: Artifact | None,
    vectors: Artifact,
    encoder: BaseModelSettings,
    settings: PersonalizationSettings,
) -> Artifact | None:
    """Fit random effects on impressions the scorer never saw; test them on later ones."""
    if impressions is None:
        return None
    fitting, later = personal_rows(impressions)
    if not later:
        current_run().skip("personalization", "no member was seen early and again later")
        return None
    if len({row["clicked"] for row in later}) < 2:
        current_run().skip("personalization", UNTOLD)
        return None
    base = BaseModel(**encoder.model_dump())

    def build(bench: Workbench) -> Counts:
        shown = _Shown.read(domain, scorer, [*fitting, *later], len(fitting))
        selected, effects = _fit(shown, known_vectors(vectors), base, settings, bench.scratch)
        personal = effects.logits(shown.later, shown.clicks[shown.n_fitting :], shown.catalog)
        effects.save(bench.out / EFFECTS)
        write_table(
            bench.out / PERSONAL_SCORES,
            {
                "logits": list(shown.logits),
                "personal": np.append(np.full(shown.n_fitting, np.nan), personal),
            },
        )
        write_json(bench.out / PERSONALIZATION, _metrics(selected, effects, shown))
        return {"fitting_rows": len(fitting), "later_rows": len(later)}

    return make(
        "effects",
        build,
        module=__name__,
        # How the entities are split changes no effect.
        settings={
            **settings.model_dump(mode="json", exclude={"shards"}),
            "encoder": base.fingerprint(),
        },
        upstream=[domain.catalog, scorer, impressions, vectors],
    )


@dataclass(frozen=True)
class _Shown:
    """Impressions that fit, then later ones that test; the scorer's raw logits (n, outputs)."""

    catalog: Catalog
    rows: list[Row]
    n_fitting: int
    logits: npt.NDArray[np.float32]
    grade_count: int

    @classmethod
    def read(cls, domain: Domain, scorer: Artifact, rows: list[Row], n_fitting: int) -> "_Shown":
        catalog = Catalog.load(domain.catalog.folder)
        loaded = PairScorer.load(scorer.file(SCORER), for_scoring=True)
        current_run().progress("effects", 0, 1)
        logits = loaded.logits(catalog.pairs(loaded.template, rows))
        return cls(catalog, rows, n_fitting, logits, loaded.outputs.grade_count)

    @property
    def clicks(self) -> Floats:
        """Raw logit of the first action (n,)."""
        return self.logits[:, self.grade_count].astype(np.float64)

    @property
    def fitting(self) -> list[Row]:
        return self.rows[: self.n_fitting]

    @property
    def later(self) -> list[Row]:
        return self.rows[self.n_fitting :]


def _fit(
    shown: _Shown,
    vectors: Vectors,
    base: BaseModel,
    settings: PersonalizationSettings,
    scratch: Path,
) -> tuple[Selected, Effects]:
    """Effects on the fitting rows, their passes chosen on the latest of these.

    ``vectors`` are those of documents known by now.
    """
    view = _view(shown, vectors, base, settings)
    own = shown.clicks[: shown.n_fitting]
    effects = [_effect(one, settings.seed) for one in settings.coordinates]
    rows = view.rows(shown.fitting, own, [one.entity for one in effects], shown.catalog)
    seconds = np.array([row["timestamp"] for row in shown.fitting], dtype=np.int64)
    shards = settings.shards
    latest = seconds > np.quantile(seconds, 1 - settings.selection_share)
    selected = fit_selected(
        rows,
        [GivenScores(FIXED, ScoreTable(rows.row_ids, own)), *effects],
        latest,
        passes=settings.passes,
        trials=settings.tuning_trials,
        seed=settings.seed,
        fit=fit_in_shards(
            shards.count, scratch, threads=shards.threads, ray_address=shards.ray_address
        ),
    )
    return selected, Effects(selected.model, view, int(seconds.max()))


def _view(
    shown: _Shown, known: Vectors, base: BaseModel, settings: PersonalizationSettings
) -> PairView:
    doc_ids = (row["doc_id"] for row in shown.rows)
    vectors = document_vectors(TextEncoder.of(base), shown.catalog, doc_ids, known)
    feature_map = fit_pair_features(
        np.array(list(vectors.values())),
        shown.clicks[: shown.n_fitting, None],
        ("click_logit",),
        dimensions=settings.embedding_dimensions,
        seed=settings.seed,
    )
    return PairView(feature_map, vectors, base.fingerprint())


def _effect(settings: EffectSettings, seed: int) -> RandomEffect:
    limit = settings.coefficient_limit
    options = RandomEffectOptions(
        l2_weight=settings.l2_weight,
        l1_weight=settings.l1_weight,
        intercept=settings.intercept,
        lower_bound=settings.lower_bound,
        upper_bound=settings.upper_bound,
        feature_ratio=settings.feature_ratio,
        coefficient_limits=None if limit is None else (-limit, limit),
        variances=settings.variances,
        seed=seed,
    )
    features = PAIR if settings.features else None
    return RandomEffect(f"per_{settings.entity}", settings.entity, features, options)


def _metrics(selected: Selected, effects: Effects, shown: _Shown) -> dict[str, object]:
    """The report's personalization part, on later impressions of members seen before."""
    fixed, later = shown.clicks[shown.n_fitting :], shown.later
    rows = effects.view.rows(later, fixed, kinds_of(effects.game), shown.catalog)
    labels = rows.checked_labels()
    scores = effects.game.coordinate_scores(rows, given_to(effects.game, rows, fixed))
    members = number_clusters([row["member_id"] for row in later])
    total = np.sum(list(scores.values()), axis=0)

    def interval(values: Floats) -> dict[str, float | int]:
        return bootstrap_statistic(lambda w: weighted_auc(labels, values, w), members).to_json()

    def gain(weights: Floats) -> float:
        return weighted_auc(labels, total, weights) - weighted_auc(labels, fixed, weights)

    return {
        "auc_fixed": interval(fixed),
        "auc_personal": interval(total),
        "passes": _by_coordinate(selected.passes, scores, labels),
        "entities": _entities(effects),
        "convergence": _summaries(effects),
        "gain": bootstrap_statistic(gain, members).to_json(),
        "selection": _selection(selected),
    }


def _entities(effects: Effects) -> dict[str, dict[str, int]]:
    return {
        name: {key: int(summary[key]) for key in ("trained", "passive", "single_class")}
        for name, summary in _summaries(effects).items()
    }


def _summaries(effects: Effects) -> dict[str, dict[str, float]]:
    """How every coordinate's last fit ended."""
    return {name: model.report.summary() for name, model in effects.game.models.items()}


def _by_coordinate(
    passes: int, scores: Mapping[str, Floats], labels: Floats
) -> list[dict[str, object]]:
    """Area under the curve as the coordinates of the final model are added one by one.

    The model was chosen without these rows, so they may report on it.
    """
    total, found = np.zeros(len(labels)), []
    for name, score in scores.items():
        total = total + score
        auc = weighted_auc(labels, total, np.ones(len(labels)))
        found.append({"coordinate": name, "pass": passes, "auc": auc})
    return found


def _selection(selected: Selected) -> dict[str, Any]:
    """How the number of passes and the L2 weights were chosen, on rows of the fitting period."""
    return {
        "passes": selected.passes,
        "l2_weights": l2_weights(selected.model.coordinates),
        "trials": len(selected.trials),
        "history": [
            {
                "pass": step.descent_pass,
                "coordinate": step.coordinate,
                "auc": step.metric if np.isfinite(step.metric) else None,
            }
            for step in selected.history
        ],
    }
