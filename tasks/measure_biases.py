"""Step: whether tiers keep, shrink or grow the biases that the policy teacher was taught."""

from collections.abc import Mapping

from tasks.core.biases import bias_figures, relevance_shifts
from tasks.core.domain.catalog import Catalog
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.store.files import write_json
from tasks.core.training.scorer import PairScorer
from tasks.exchange import BIASES, SCORER, Domain, golden_rows
from tasks.run import current_run
from tasks.settings import EvaluationSettings
from tasks.step import make, step


@step
def measure_biases(
    domain: Domain, scorers: Mapping[str, Artifact | None], settings: EvaluationSettings
) -> Artifact | None:
    """Shifts of relevance under three edits of gate pairs; None where settings ask for no pairs.

    ``scorers`` are tiers that grade, by role, the policy teacher among them.
    """
    present = {role: one for role, one in scorers.items() if one is not None}
    if not settings.bias_pairs:
        current_run().skip("biases", "evaluation.bias_pairs is 0 in the settings")
        return None

    def build(bench: Workbench) -> Counts:
        rows = golden_rows(domain, "gate")
        rows = rows[:: max(1, len(rows) // settings.bias_pairs)][: settings.bias_pairs]
        catalog = Catalog.load(domain.catalog.folder)
        shifts = {}
        for role, artifact in present.items():
            scorer = PairScorer.load(artifact.file(SCORER), for_scoring=True)
            shifts[role] = relevance_shifts(scorer, catalog.pairs(scorer.template, rows))
        taught = shifts["policy_teacher"]
        figures = {
            role: bias_figures(one, taught, n_resamples=settings.n_resamples)
            for role, one in shifts.items()
        }
        write_json(bench.out / BIASES, figures)
        return {"pairs": len(rows), "tiers": len(present)}

    return make(
        "biases",
        build,
        module=__name__,
        settings={**settings.model_dump(mode="json"), "roles": [*present]},
        upstream=[domain.golden, domain.catalog, *present.values()],
    )
