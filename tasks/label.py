"""Step: pairs and a judge that passed in; judgments out. No label is paid for twice."""

import hashlib

from tasks.asking import ask_judge
from tasks.core.labeling.client import LabelRun
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.store.files import write_json
from tasks.core.tables import Row, columns_of, read_rows, write_table
from tasks.exchange import CALLS, JUDGMENTS, PAIRS, Domain
from tasks.settings import BaseModelSettings, JudgeSettings
from tasks.step import make, step

# Shares of the queries whose judgments train nothing: they calibrate.
CALIBRATION_SHARE = 0.1


@step
def label(
    domain: Domain,
    pairs: Artifact,
    judge: Artifact,
    verdict: Artifact,
    encoder: BaseModelSettings,
    settings: JudgeSettings,
) -> Artifact:
    """Label the pairs; what the journal knows is not asked again."""

    def build(bench: Workbench) -> Counts:
        rows = read_rows(pairs.file(PAIRS))
        found = ask_judge(domain, judge, encoder, settings, rows)
        write_table(bench.out / JUDGMENTS, columns_of(_judged_rows(rows, found)))
        progress = found.progress
        write_json(
            bench.out / CALLS,
            {
                "pairs": len(rows),
                "labelled": len(found.judgments),
                "quarantined": len(found.quarantined),
                "calls": progress.calls,
                "billed_calls": progress.billed_calls,
                "reused": progress.reused,
                "spent_usd": progress.spent_usd,
                "possibly_billed": progress.possibly_billed,
            },
        )
        return {"judgments": len(found.judgments), "quarantined": len(found.quarantined)}

    return make(
        "judgments",
        build,
        module=__name__,
        settings=settings,
        upstream=[domain.policy, domain.catalog, pairs, judge, verdict],
    )


def _judged_rows(rows: list[Row], found: LabelRun) -> list[Row]:
    """Pairs with their grade, distribution and use, in the pairs' order."""
    judgments = {judgment.pair_id: judgment for judgment in found.judgments}
    result = []
    for row in rows:
        judgment = judgments.get(row["pair_id"])
        if judgment is not None:
            dimensions = judgment.dimension_grades or {}
            result.append(
                {
                    **row,
                    "grade": judgment.grade,
                    "probabilities": list(judgment.grade_probabilities or ()),
                    "dimensions": [
                        {"id": name, "grade": grade} for name, grade in dimensions.items()
                    ],
                    "clauses": list(judgment.clauses or ()),
                    "rationale": judgment.rationale or "",
                    "judge": judgment.judge,
                    "prompt_hash": judgment.prompt_hash,
                    "policy_hash": judgment.policy_hash,
                    "use": _use(row["query_id"]),
                }
            )
    return result


def _use(query_id: str) -> str:
    """Every pair of a query has one use, so that calibration sees queries nobody trained on."""
    share = int(hashlib.sha256(f"use:{query_id}".encode()).hexdigest()[:8], 16) / 2**32
    return "calibrate" if share < CALIBRATION_SHARE else "train"
