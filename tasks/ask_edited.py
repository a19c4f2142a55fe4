"""Step: the judge grades gate pairs with the edits that make no candidate better."""

from dataclasses import replace

import numpy as np

from tasks.asking import label_request, relevances
from tasks.core.biases import BIASES, PLAIN, edited_texts
from tasks.core.domain.catalog import Catalog
from tasks.core.errors import CookbookError
from tasks.core.labeling.embedded_model import WORDS_BESIDE_AN_EDIT
from tasks.core.labeling.prompts import LabelRequest
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.tables import write_table
from tasks.exchange import JUDGE_SHIFTS, Domain, rows_to_edit
from tasks.run import current_run
from tasks.settings import BaseModelSettings, EvaluationSettings, JudgeSettings
from tasks.step import make, step


@step
def ask_edited(
    domain: Domain,
    judge: Artifact,
    encoder: BaseModelSettings,
    judge_settings: JudgeSettings,
    settings: EvaluationSettings,
) -> Artifact | None:
    """Shifts of the judge's own relevance by bias, paid for out of its budget.

    None, with the reason among what was skipped, where it is not asked or cannot answer: a
    finished training is not thrown away for a measure.
    """
    if not (settings.bias_pairs and settings.judge_biases):
        current_run().skip("biases of the judge", "the settings do not ask it about edited pairs")
        return None

    def build(bench: Workbench) -> Counts:
        requests = _requests(domain, judge_settings, settings.bias_pairs)
        graded = relevances(domain, judge, encoder, judge_settings, requests)
        # A column for each way to read a pair, in the order of _requests.
        plain, *edited = np.reshape(graded, (-1, 1 + len(BIASES))).T
        shifts = {bias: one - plain for bias, one in zip(BIASES, edited, strict=True)}
        write_table(bench.out / JUDGE_SHIFTS, shifts)
        return {"texts": len(requests), "unanswered": int(np.isnan(graded).sum())}

    try:
        return make(
            "judged_edits",
            build,
            module=__name__,
            settings={
                "judge": judge_settings.model_dump(mode="json"),
                "bias_pairs": settings.bias_pairs,
            },
            upstream=[domain.policy, domain.golden, domain.catalog, judge],
        )
    except CookbookError as error:
        current_run().skip("biases of the judge", str(error))
        return None


def _requests(domain: Domain, settings: JudgeSettings, count: int) -> list[LabelRequest]:
    """Pair after pair: its text as it is, then with each of ``BIASES``."""
    catalog = Catalog.load(domain.catalog.folder)
    most_words = None if settings.kind == "endpoint" else WORDS_BESIDE_AN_EDIT
    requests = []
    for number, row in enumerate(rows_to_edit(domain, count)):
        one = label_request(catalog, row, settings)
        texts = edited_texts(one.document_text, one.query, most_words=most_words)
        requests += [
            replace(one, pair_id=f"{edit}-{number}", document_text=texts[edit])
            for edit in (PLAIN, *BIASES)
        ]
    return requests
