"""Step: whether tiers keep, shrink or grow the biases of the judge that taught them."""

from collections.abc import Mapping

import numpy as np

from tasks.core.biases import BIASES as BIAS_NAMES
from tasks.core.biases import Floats, bias_figures, relevance_shifts
from tasks.core.domain.catalog import Catalog
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.store.files import write_json
from tasks.core.tables import read_table
from tasks.core.training.scorer import PairScorer
from tasks.exchange import BIASES, JUDGE_SHIFTS, SCORER, Domain, rows_to_edit
from tasks.run import current_run
from tasks.settings import EvaluationSettings
from tasks.step import make, step


@step
def measure_biases(
    domain: Domain,
    scorers: Mapping[str, Artifact | None],
    edited: Artifact | None,
    settings: EvaluationSettings,
) -> Artifact | None:
    """Shifts of relevance under three edits of gate pairs; None where settings ask for no pairs.

    ``scorers`` are tiers that grade, by role, the policy teacher among them: it is what the others
    are held against where ``edited``, the judge's own shifts, is None or has no answer.
    """
    present = {role: one for role, one in scorers.items() if one is not None}
    if not settings.bias_pairs:
        current_run().skip("biases", "evaluation.bias_pairs is 0 in the settings")
        return None

    def build(bench: Workbench) -> Counts:
        rows = rows_to_edit(domain, settings.bias_pairs)
        catalog = Catalog.load(domain.catalog.folder)
        queries = [row["query"] for row in rows]
        shifts = _judges(edited)
        for role, artifact in present.items():
            scorer = PairScorer.load(artifact.file(SCORER), for_scoring=True)
            shifts[role] = relevance_shifts(scorer, catalog.pairs(scorer.template, rows), queries)
        asked = [row["query_id"] for row in rows]
        figures = bias_figures(shifts, asked, n_resamples=settings.n_resamples)
        write_json(bench.out / BIASES, figures)
        return {"pairs": len(rows), "tiers": len(present)}

    return make(
        "biases",
        build,
        module=__name__,
        settings={**settings.model_dump(mode="json"), "roles": [*present]},
        upstream=[domain.golden, domain.catalog, edited, *present.values()],
    )


def _judges(edited: Artifact | None) -> dict[str, dict[str, Floats]]:
    """The judge's shifts under its role, so that they come first; empty where it was not asked."""
    if edited is None:
        return {}
    table = read_table(edited.file(JUDGE_SHIFTS))
    return {"judge": {bias: np.array(table[bias], dtype=np.float64) for bias in BIAS_NAMES}}
