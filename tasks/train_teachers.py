"""Steps: the policy teacher learns the judgments, the click teacher starts from it."""

import numpy as np

from tasks.core.domain.catalog import Catalog
from tasks.core.inputs import InputTemplate
from tasks.core.policies.parse import parse_policy
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.training.base_models import BaseModel, new_scorer
from tasks.core.training.scorer import Outputs, PairScorer
from tasks.core.training.teachers import (
    Lora,
    click_weights,
)
from tasks.core.training.teachers import (
    train_click_teacher as learn_clicks,
)
from tasks.core.training.teachers import (
    train_policy_teacher as learn_policy,
)
from tasks.exchange import (
    POLICY,
    PROPENSITIES,
    SCORER,
    Domain,
    distributions,
    judged_rows,
    list_numbers,
    optimization,
    shown_rows,
)
from tasks.run import current_run
from tasks.settings import LoraSettings, TeacherSettings
from tasks.step import make, step


@step
def train_policy_teacher(
    domain: Domain,
    judgments: Artifact,
    impressions: Artifact | None,
    settings: TeacherSettings,
) -> Artifact:
    """Train the base model on the judge's grade distributions."""
    base = BaseModel(**settings.base.model_dump())
    actions = tuple(impressions.json(PROPENSITIES)["actions"]) if impressions else ()

    def build(bench: Workbench) -> Counts:
        grade_count = len(parse_policy(domain.policy.file(POLICY)).grades)
        rows = judged_rows(judgments, "train")[: settings.training.max_rows]
        template = template_for(base, settings.max_tokens, grade_count)
        scorer = new_scorer(
            base, Outputs(grade_count, actions), template, seed=settings.training.seed
        )
        report = learn_policy(
            scorer,
            Catalog.load(domain.catalog.folder).pairs(template, rows),
            distributions(rows, grade_count),
            list_numbers([row["query_id"] for row in rows]),
            np.array([row["cosine"] for row in rows]),
            optimization(settings.training),
            lora=_lora(settings.lora),
            listwise_weight=settings.listwise_weight,
            checkpoints=bench.scratch,
            progress=lambda done, total: current_run().progress("policy_teacher", done, total),
        )
        scorer.save(bench.out / SCORER)
        return {"rows": len(rows), "steps": report.steps, "skipped_steps": report.skipped_steps}

    return make(
        "policy_teacher",
        build,
        module=__name__,
        settings={
            **settings.model_dump(mode="json"),
            "weights": base.fingerprint(),
            "actions": list(actions),
        },
        upstream=[domain.policy, domain.catalog, judgments],
    )


@step
def train_click_teacher(
    domain: Domain,
    impressions: Artifact | None,
    policy_teacher: Artifact,
    settings: TeacherSettings,
) -> Artifact | None:
    """Go on from the policy teacher with what members did, weighted by 1 / propensity."""
    if impressions is None:
        return None

    def build(bench: Workbench) -> Counts:
        rows = shown_rows(impressions, "train")[: settings.training.max_rows]
        scorer = PairScorer.load(policy_teacher.file(SCORER))
        lists = list_numbers([row["impression_id"] for row in rows])
        taken = np.array([[row[name] for name in scorer.outputs.actions] for row in rows], float)
        weights = click_weights(taken, lists, np.array([row["weight"] for row in rows]))
        report = learn_clicks(
            scorer,
            Catalog.load(domain.catalog.folder).pairs(scorer.template, rows),
            taken,
            weights,
            lists,
            optimization(settings.training),
            lora=_lora(settings.lora),
            checkpoints=bench.scratch,
            progress=lambda done, total: current_run().progress("click_teacher", done, total),
        )
        scorer.save(bench.out / SCORER)
        return {"rows": len(rows), "steps": report.steps, "skipped_steps": report.skipped_steps}

    return make(
        "click_teacher",
        build,
        module=__name__,
        settings=settings,
        upstream=[domain.catalog, impressions, policy_teacher],
    )


def template_for(base: BaseModel, max_tokens: int, grade_count: int) -> InputTemplate:
    """The input template of a base model: a causal one is asked for the grade at the end."""
    if base.is_causal():
        return InputTemplate(
            max_tokens=max_tokens,
            prefix="Query: ",
            suffix=f"\nHow relevant is the candidate, from 0 to {grade_count - 1}? Grade: ",
        )
    return InputTemplate(max_tokens=max_tokens)


def _lora(settings: LoraSettings | None) -> Lora | None:
    return None if settings is None else Lora(settings.rank, settings.alpha)
