"""Steps: the policy teacher learns the judgments, the click teacher starts from it."""

import json
import shutil
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from tasks.core.domain.catalog import Catalog
from tasks.core.errors import CookbookError
from tasks.core.inputs import InputTemplate, PairText
from tasks.core.policies.parse import parse_policy
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.store.files import file_sha256
from tasks.core.summaries import word_worths
from tasks.core.tables import Row
from tasks.core.training.base_models import (
    BaseModel,
    causal_scorer,
    language_model,
    new_scorer,
)
from tasks.core.training.rationales import learn_rationales
from tasks.core.training.scorer import CARD, Outputs, PairScorer, goals_of
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
    asking_numbers,
    distributions,
    graded_rows,
    judged_rows,
    list_numbers,
    optimization,
    order_of,
    shown_rows,
)
from tasks.run import current_run
from tasks.settings import FurtherTeacherSettings, LoraSettings, TeacherSettings
from tasks.step import make, step

# Rows with the judge's reasons, and their texts.
Reasoned = tuple[list[Row], list[PairText]]


@step
def train_policy_teacher(
    domain: Domain,
    judgments: Artifact,
    people: Artifact | None,
    impressions: Artifact | None,
    settings: TeacherSettings,
) -> Artifact:
    """Train the base model on the judge's grade distributions and on people's grades."""
    base = BaseModel(**settings.base.model_dump())
    actions = tuple(impressions.json(PROPENSITIES)["actions"]) if impressions else ()

    def build(bench: Workbench) -> Counts:
        grade_count = len(parse_policy(domain.policy.file(POLICY)).grades)
        rows = graded_rows(judgments, people, most=settings.training.max_rows)
        catalog = Catalog.load(domain.catalog.folder)
        worths = _worths(catalog, rows) if settings.telling_first else {}
        template = template_for(base, settings.max_tokens, grade_count, worths)
        reasoned = _reasoned(judgments, catalog, template, settings)
        scorer = _start(base, Outputs(grade_count, actions), template, reasoned, settings, bench)
        report = learn_policy(
            scorer,
            catalog.pairs(template, rows),
            distributions(rows, grade_count),
            asking_numbers(rows),
            order_of(rows),
            optimization(settings.training, has_log=impressions is not None),
            lora=_lora(settings.lora),
            weights=np.array([row["weight"] for row in rows]),
            listwise_weight=settings.listwise_weight,
            checkpoints=bench.scratch,
            progress=lambda done, total: current_run().progress("policy_teacher", done, total),
        )
        scorer.save(bench.out / SCORER)
        counts = {"rows": len(rows), "steps": report.steps, "skipped_steps": report.skipped_steps}
        return counts | ({"reasons": len(reasoned[0])} if settings.rationale else {})

    return make(
        "policy_teacher",
        build,
        module=__name__,
        settings={
            **settings.model_dump(mode="json"),
            "weights": base.fingerprint(),
            "actions": list(actions),
            "has_log": impressions is not None,
        },
        upstream=[domain.policy, domain.catalog, judgments, people],
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
    base = BaseModel(**settings.base.model_dump())

    def build(bench: Workbench) -> Counts:
        rows = shown_rows(impressions, "train")[: settings.training.max_rows]
        scorer = _click_start(policy_teacher, base, settings)
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
        settings={
            **settings.model_dump(mode="json", exclude={"ablate_start"}),
            # From the policy teacher its artifact says it; a folder's weights may change in place.
            "weights": base.fingerprint() if settings.start == "base" else None,
        },
        upstream=[domain.catalog, impressions, policy_teacher],
    )


@step
def import_teacher(
    domain: Domain,
    impressions: Artifact | None,
    kinds: frozenset[str],
    settings: FurtherTeacherSettings,
) -> Artifact | None:
    """A scorer from elsewhere as an artifact, known by its files' hashes.

    ``kinds`` are the targets that students want of it. Without a click log nobody is taught
    actions: a teacher of them alone is None, as the click teacher is.

    Raises:
        CookbookError: the folder holds no scorer, or one that was not taught these targets.
    """
    if impressions is None and "actions" in kinds:
        current_run().skip(
            "further_teacher", f"{settings.name} teaches no actions: the domain has no impressions"
        )
        kinds -= {"actions"}
        if not kinds:
            return None
    folder = Path(settings.folder)
    if not (folder / CARD).is_file():
        raise CookbookError(
            f"The further teacher {settings.name!r} must be a saved scorer, and {folder} has no "
            f"{CARD}. Give the folder of a scorer that this project saved."
        )
    actions = tuple(impressions.json(PROPENSITIES)["actions"]) if impressions else ()
    expected = Outputs(len(parse_policy(domain.policy.file(POLICY)).grades), actions)
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    check_teaches(card, expected, kinds, settings)
    hashes = {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.is_file()}

    def build(bench: Workbench) -> Counts:
        shutil.copytree(folder, bench.out / SCORER, copy_function=shutil.copyfile)
        return {"files": len(hashes)}

    named = {"name": settings.name}  # by which `explain` tells what it said
    return make("further_teacher", build, module=__name__, settings=named, outside=hashes)


def check_teaches(
    card: Mapping[str, Any],
    expected: Outputs,
    kinds: frozenset[str],
    settings: FurtherTeacherSettings,
) -> None:
    """Refuse a scorer whose outputs are others: a click read as a grade looks like any number."""
    found = Outputs(card["grade_count"], tuple(card["actions"]))
    taught = goals_of(card)
    wants = {"actions" if kind == "actions" else "grades" for kind in kinds}
    same_actions = "actions" not in wants or found.actions == expected.actions
    if found.grade_count == expected.grade_count and same_actions and wants <= set(taught):
        return
    raise CookbookError(
        f"The further teacher {settings.name!r} must give {_spoken(expected)} as the domain has "
        f"them, and be taught the {' and '.join(sorted(wants)) or 'grades'} that students want of "
        f"it; the scorer in {settings.folder} gives {_spoken(found)} and was taught "
        f"{' and '.join(taught)}. Give another scorer, or name this one for another kind of target."
    )


def _spoken(outputs: Outputs) -> str:
    return f"{outputs.grade_count} grades and the actions {', '.join(outputs.actions) or 'none'}"


def template_for(
    base: BaseModel, max_tokens: int, grade_count: int, worths: Mapping[str, float]
) -> InputTemplate:
    """The input template of a base model: a causal one is asked for the grade at the end."""
    if base.is_causal():
        return InputTemplate(
            max_tokens=max_tokens,
            prefix="Query: ",
            suffix=f"\nHow relevant is the candidate, from 0 to {grade_count - 1}? Grade: ",
            worths=worths,
        )
    return InputTemplate(max_tokens=max_tokens, worths=worths)


def _worths(catalog: Catalog, rows: Sequence[Row]) -> dict[str, float]:
    """What words tell, by the candidates, by who may ask, and by what the graded rows ask for."""
    members = (str(member["text"]) for member in catalog.members.values())
    return word_worths(catalog.retrieval_texts(), chain(members, {row["query"] for row in rows}))


def _start(
    base: BaseModel,
    outputs: Outputs,
    template: InputTemplate,
    reasoned: Reasoned,
    settings: TeacherSettings,
    bench: Workbench,
) -> PairScorer:
    """The base as a scorer; where settings say so, one that learned the judge's reasons first."""
    if settings.rationale is None:
        return new_scorer(base, outputs, template, seed=settings.training.seed)
    rows, pairs = reasoned
    writer = language_model(base, seed=settings.training.seed)
    learn_rationales(
        writer,
        template,
        pairs,
        [row["rationale"] for row in rows],
        np.array([row["grade"] for row in rows]),
        optimization(settings.rationale),
        lora=_lora(settings.lora),
        checkpoints=bench.scratch / "rationale",
        progress=lambda done, total: current_run().progress("rationale", done, total),
    )
    return causal_scorer(base, writer, outputs, template)


def _reasoned(
    judgments: Artifact, catalog: Catalog, template: InputTemplate, settings: TeacherSettings
) -> Reasoned:
    """What the judge gave a reason for, with its own grade, which the reason is for.

    People give none, and their grades fill the training rows first: taken from these, the reasons
    would be gone wherever people graded much.
    """
    if settings.rationale is None:
        return [], []
    reasoned = [row for row in judged_rows(judgments, "train") if row["rationale"]]
    rows = reasoned[: settings.rationale.max_rows]
    return rows, catalog.pairs(template, rows)


def _click_start(
    policy_teacher: Artifact, base: BaseModel, settings: TeacherSettings
) -> PairScorer:
    """The policy teacher's weights, or its base's, with the same outputs and template."""
    scorer = PairScorer.load(policy_teacher.file(SCORER))
    if settings.start == "policy_teacher":
        return scorer
    return new_scorer(base, scorer.outputs, scorer.template, seed=settings.training.seed)


def _lora(settings: LoraSettings | None) -> Lora | None:
    return None if settings is None else Lora(settings.rank, settings.alpha)
