"""Step: the judge grades counterfactual twins of golden pairs, as it grades any pair."""

from dataclasses import replace

import numpy as np

from tasks.asking import label_request, open_judge
from tasks.core.domain.catalog import Catalog
from tasks.core.errors import CookbookError
from tasks.core.fairness.twin_pairs import TwinPairs
from tasks.core.labeling.judge import by_pair
from tasks.core.labeling.outgoing import outgoing_member
from tasks.core.labeling.prompts import LabelRequest
from tasks.core.labeling.replies import Judgment
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
    """The judge's relevance of both texts of every twin, paid for out of the run's budget.

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
        with open_judge(domain, judge, encoder, judge_settings) as asked:
            # Twins without an answer are counted and left out, however many they are.
            found = by_pair(asked.label(requests, max_quarantine_share=1.0))
            highest = len(asked.policy.grades) - 1
        graded = [_relevance(found.get(one.pair_id), highest) for one in requests]
        write_table(bench.out / TWIN_GRADES, {"relevance": graded})
        return {"texts": len(requests), "unanswered": len(requests) - len(found)}

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


def _relevance(judgment: Judgment | None, highest: int) -> float:
    """Expected grade, 0 to 1, where the judge gives probabilities: it moves where a grade stays."""
    if judgment is None:
        return float("nan")
    odds = judgment.grade_probabilities
    expected = judgment.grade if odds is None else float(np.arange(len(odds)) @ np.array(odds))
    return expected / highest
