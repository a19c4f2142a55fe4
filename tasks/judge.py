"""Steps: prepare the judge and hold it against golden data before it may label."""

import numpy as np

from tasks.asking import MODEL, ask_judge, golden_pair
from tasks.core.domain.catalog import Catalog
from tasks.core.errors import CookbookError
from tasks.core.labeling.embedded_model import fit_embedded_model
from tasks.core.labeling.gate import judge_verdict
from tasks.core.policies.parse import parse_policy
from tasks.core.retrieval.embeddings import TextEncoder
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.store.files import write_json
from tasks.core.training.base_models import BaseModel
from tasks.exchange import POLICY, VERDICT, Domain, golden_rows
from tasks.settings import BaseModelSettings, JudgeSettings
from tasks.step import make, step


@step
def prepare_judge(domain: Domain, encoder: BaseModelSettings, settings: JudgeSettings) -> Artifact:
    """Fit the embedded judge on the tune split; an endpoint needs no preparation."""
    base = BaseModel(**encoder.model_dump())

    def build(bench: Workbench) -> Counts:
        if settings.kind == "endpoint":
            write_json(bench.out / "endpoint.json", {"model": settings.model})
            return {}
        catalog = Catalog.load(domain.catalog.folder)
        rows = golden_rows(domain, "tune")
        model = fit_embedded_model(
            TextEncoder.of(base),
            [golden_pair(catalog, row) for row in rows],
            np.array([row["grade"] for row in rows]),
            len(parse_policy(domain.policy.file(POLICY)).grades),
            catalog.retrieval_texts(),
        )
        model.save(bench.out / MODEL)
        return {"golden_pairs": len(rows)}

    return make(
        "judge",
        build,
        module=__name__,
        settings={"kind": settings.kind, "model": settings.model, "encoder": base.fingerprint()},
        upstream=[domain.policy, domain.golden, domain.catalog],
    )


@step
def validate_judge(
    domain: Domain, judge: Artifact, encoder: BaseModelSettings, settings: JudgeSettings
) -> Artifact:
    """Grade the gate split and compare with people.

    Raises:
        CookbookError: the judge is below the floor, so that nothing may be labelled with it.
    """

    def build(bench: Workbench) -> Counts:
        policy = parse_policy(domain.policy.file(POLICY))
        rows = golden_rows(domain, "gate")
        found = ask_judge(domain, judge, encoder, settings, rows)
        graded = {judgment.pair_id: judgment.grade for judgment in found.judgments}
        kept = [row for row in rows if row["pair_id"] in graded]
        raters = np.array([row["raters"] for row in kept], dtype=np.float64)
        verdict = judge_verdict(
            [row["grade"] for row in kept],
            [graded[row["pair_id"]] for row in kept],
            raters if raters.shape[1] > 1 else None,
            [row["query_id"] for row in kept],
            grade_count=policy.grade_count,
            floor_kappa=settings.floor_kappa,
            floor_human_share=settings.floor_human_share,
            seed=settings.seed,
        )
        write_json(bench.out / VERDICT, verdict.to_json())
        return {"pairs": len(kept), "passed": int(verdict.passed)}

    artifact = make(
        "verdict",
        build,
        module=__name__,
        settings=settings,
        upstream=[domain.policy, domain.golden, domain.catalog, judge],
    )
    verdict = artifact.json(VERDICT)
    if not verdict["passed"]:
        raise CookbookError(
            f"Labelling needs a judge that agrees with people. {verdict['reason']} Nothing was "
            f"labelled. Improve the policy or the judge, or grade more golden pairs."
        )
    return artifact
