"""Step: which of several students is served, by a rule on data that reports nothing."""

from collections.abc import Mapping
from typing import Any

from tasks.allowed_queries import CHOICE, with_choice
from tasks.core.distillation.tradeoff import MeasuredStudent, choose, front
from tasks.core.domain.catalog import Catalog
from tasks.core.evaluation import Scored, TierLogits, Yardstick
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.store.files import write_json
from tasks.core.training.scorer import PairScorer
from tasks.exchange import MIX, SCORER, Domain, golden_rows, shown_rows
from tasks.settings import DistillationSettings, MixSettings
from tasks.step import make, step

Candidate = tuple[DistillationSettings, Artifact]


@step
def choose_mix(
    domain: Domain,
    candidates: Mapping[str, Candidate],
    impressions: Artifact | None,
    settings: MixSettings,
) -> Artifact:
    """Measure every student on tune queries kept for it and on calibration's impressions; pick one.

    ``candidates`` are students by name with the settings that made them; those of one goal, with
    alpha 1 and 0, are among them. The sealed queries and held-out members stay unread.
    """

    def build(bench: Workbench) -> Counts:
        golden = with_choice(golden_rows(domain, "tune"), settings, has_log=True)
        tune = [row for row in golden if row["split"] == CHOICE]
        shown = shown_rows(impressions, "calibrate")
        catalog = Catalog.load(domain.catalog.folder)
        measured = []
        for name, (made_by, artifact) in candidates.items():
            scorer = PairScorer.load(artifact.file(SCORER), for_scoring=True)
            yardstick = Yardstick.of(tune, shown, scorer.outputs.actions, settings.n_resamples)
            if yardstick.has_clicks:
                graded, seen = (catalog.pairs(scorer.template, rows) for rows in (tune, shown))
                scored = TierLogits.of(scorer, graded, seen).scored()
                measured.append(_measured(name, made_by, scored, yardstick))
        write_json(bench.out / MIX, _decision(measured, settings.relevance_floor))
        return {"students": len(measured)}

    return make(
        "mix",
        build,
        module=__name__,
        settings={
            **settings.model_dump(mode="json"),
            "made_by": {name: [one.alpha, one.conflicts] for name, (one, _) in candidates.items()},
        },
        upstream=[
            domain.golden,
            domain.catalog,
            impressions,
            *(artifact for _, artifact in candidates.values()),
        ],
    )


def _decision(measured: list[MeasuredStudent], floor: float) -> dict[str, Any]:
    """The chosen student and all that were tried; the settings' own where nothing was clicked."""
    if not measured:
        return {"chosen": "student", "students": []}
    best = {one.name for one in front(measured)}
    points = [one.to_json() | {"on_front": one.name in best} for one in measured]
    return {"chosen": choose(measured, floor=floor).name, "students": points}


def _measured(
    name: str, made_by: DistillationSettings, scored: Scored, yardstick: Yardstick
) -> MeasuredStudent:
    clicks = yardstick.auc("clicked", scored.on_clicks["clicked"])
    assert clicks is not None  # has_clicks was asked
    relevance = yardstick.ndcg_interval(scored.on_golden)
    return MeasuredStudent(name, made_by.alpha, made_by.conflicts, relevance, clicks)
