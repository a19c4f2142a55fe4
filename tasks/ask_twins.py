"""Step: the judge grades counterfactual twins of golden pairs, as it grades any pair."""

from dataclasses import replace

import numpy as np

from tasks.asking import label_request, relevances
from tasks.core.domain.catalog import Catalog
from tasks.core.errors import CookbookError
from tasks.core.fairness.twin_pairs import TwinPairs
from tasks.core.labeling.outgoing import outgoing_member
from tasks.core.labeling.prompts import LabelRequest
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.tables import write_table
from tasks.exchange import TWIN_GRADES, Domain, golden_rows
from tasks.run import current_run
from tasks.settings import BaseModelSettings, FairnessSettings, JudgeSettings
from tasks.step import make, step


@step
def ask_twins(
    domain: Domain,
    judge: Artifact,
    encoder: BaseModelSettings,
    judge_settings: JudgeSettings,
    settings: FairnessSettings,
) -> Artifact | None:
    """The judge's relevance of both texts of every twin, paid for out of its budget.

    None, with the reason among what was skipped, where it is not asked or cannot answer: a
    finished training is not thrown away for a measure.
    """
    n_pairs = settings.twin_pairs if settings.judge_twins else 0
    catalog = Catalog.load(domain.catalog.folder)
    pairs = TwinPairs.draw(golden_rows(domain, "sealed"), catalog, n_pairs, seed=settings.seed)
    if not pairs.rows:
        current_run().skip("fairness twins of the judge", "settings or data have no twins for it")
        return None

    def build(bench: Workbench) -> Counts:
        requests = _requests(pairs, judge_settings)
        graded = relevances(domain, judge, encoder, judge_settings, requests)
        write_table(bench.out / TWIN_GRADES, {"relevance": graded})
        return {"texts": len(requests), "unanswered": int(np.isnan(graded).sum())}

    try:
        return make(
            "judged_twins",
            build,
            module=__name__,
            settings={
                "judge": judge_settings.model_dump(mode="json"),
                "twin_pairs": settings.twin_pairs,
                "seed": settings.seed,
            },
            upstream=[domain.policy, domain.golden, domain.catalog, judge],
        )
    except CookbookError as error:
        current_run().skip("fairness twins of the judge", str(error))
        return None


def _requests(pairs: TwinPairs, settings: JudgeSettings) -> list[LabelRequest]:
    """All first versions, then all second ones; what may not leave the machine is taken out."""
    catalog = pairs.catalog
    return [
        replace(
            label_request(catalog, row, settings),
            pair_id=f"twin-{number}",
            member_text=outgoing_member({**catalog.members[row["member_id"]], "text": text}),
        )
        for number, (row, text) in enumerate(pairs.versions())
    ]
