"""Step: the student of both goals beside those of one, on data that decides and reports nothing."""

from collections.abc import Mapping

from tasks.core.domain.catalog import Catalog
from tasks.core.evaluation import Scored, TierLogits, Yardstick, paired_gain
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.store.files import write_json
from tasks.core.training.scorer import PairScorer
from tasks.exchange import SCORER, SINGLE_GOALS, Domain, golden_rows, shown_rows, taught_goals
from tasks.settings import EvaluationSettings
from tasks.step import make, step


@step
def compare_goals(
    domain: Domain,
    student: Artifact,
    singles: Mapping[str, Artifact | None],
    impressions: Artifact | None,
    settings: EvaluationSettings,
) -> Artifact | None:
    """What the student gains on those of one goal, paired: NDCG@10 on gate queries, and click AUC.

    The clicks are of members that calibrate. None where there is no mix of goals: without a log,
    or where relevance alone was chosen.
    """
    others = {name: one for name, one in singles.items() if one is not None}
    if len(taught_goals(student)) < 2 or not others:
        return None

    def build(bench: Workbench) -> Counts:
        catalog = Catalog.load(domain.catalog.folder)
        golden, shown = golden_rows(domain, "gate"), shown_rows(impressions, "calibrate")

        def scored(one: Artifact) -> Scored:
            scorer = PairScorer.load(one.file(SCORER), for_scoring=True)
            graded, seen = (catalog.pairs(scorer.template, rows) for rows in (golden, shown))
            return TierLogits.of(scorer, graded, seen).scored()

        yardstick = Yardstick.of(golden, shown, ("clicked",), settings.n_resamples)
        ours = scored(student)
        gains = {name: paired_gain(yardstick, ours, scored(one)) for name, one in others.items()}
        write_json(bench.out / SINGLE_GOALS, gains)
        return {"students": len(gains)}

    return make(
        "single_goals",
        build,
        module=__name__,
        settings={"n_resamples": settings.n_resamples, "students": [*others]},
        upstream=[domain.golden, domain.catalog, impressions, student, *others.values()],
    )
