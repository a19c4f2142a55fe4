"""Step: soft labels in, a smaller scorer out; assistant, student, pruned student, baselines."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tasks.core.distillation.conflicts import settle_conflicts
from tasks.core.distillation.layer_importance import important_layers
from tasks.core.distillation.shrink import keep_layers, prune_mlps, spread_layers
from tasks.core.distillation.soft_labels import read_soft_labels
from tasks.core.distillation.students import Teacher
from tasks.core.distillation.students import distill as teach
from tasks.core.distillation.vocabulary import trim_vocabulary
from tasks.core.domain.catalog import Catalog
from tasks.core.errors import CookbookError
from tasks.core.inputs import PairText
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.tables import Row, read_rows
from tasks.core.training.architecture import family, layers
from tasks.core.training.base_models import BaseModel, new_scorer
from tasks.core.training.loop import Optimization
from tasks.core.training.losses import expected_grade
from tasks.core.training.precision import best_device
from tasks.core.training.scorer import PairScorer
from tasks.core.training.teachers import GRADE_SCALE, RETRIEVAL_SCALE
from tasks.core.training.tokens import Rows
from tasks.exchange import SCORER, TRANSFER, Domain, asking_numbers, optimization, order_of
from tasks.run import current_run
from tasks.settings import BaseModelSettings, DistillationSettings, SoftTeacherSettings
from tasks.step import make, step

Labels = Mapping[str, Artifact | None]
Floats = npt.NDArray[np.float32]
# What a teacher says of the rows of these numbers.
Opinion = Callable[[Rows], Floats]
# Pairs whose activations decide which MLP units stay, and those whose outputs decide over layers.
PRUNING_PAIRS, LAYER_PAIRS = 512, 128
# The teacher that needs no scorer: the order in which the first stage ranks.
RETRIEVAL = "retrieval"


@step
def distill(
    role: str,
    domain: Domain,
    transfer: Artifact,
    labels: Labels,
    start: Artifact | None,
    settings: DistillationSettings,
    scorers: Labels,
) -> Artifact | None:
    """Teach a smaller scorer; ``start`` is the scorer whose weights it begins with.

    ``labels`` are the soft labels by teacher, and ``scorers`` the teachers themselves, for the live
    ones; those that the settings do not name are not read. Without any teacher there is no student.
    """
    named = {one.name for one in settings.teachers if not one.live}
    present = {name: one for name, one in labels.items() if one is not None and name in named}
    asked = {one.name for one in settings.teachers if one.live}
    live = {name: one for name, one in scorers.items() if one is not None and name in asked}
    if start is None or not (present or live or RETRIEVAL in named):
        return None
    has_log = domain.impressions is not None

    def build(bench: Workbench) -> Counts:
        rows = read_rows(transfer.file(TRANSFER))[: settings.training.max_rows]
        catalog = Catalog.load(domain.catalog.folder)
        student, pairs = _smaller(start, catalog, rows, settings)
        queries = asking_numbers(rows)
        opinions = {name: _stored(one, rows) for name, one in present.items()}
        opinions |= {name: _live(one, catalog, rows) for name, one in live.items()}
        report = teach(
            student,
            pairs,
            queries,
            _teachers(rows, queries, student, opinions, settings),
            _optimization(settings, live, has_log=has_log),
            checkpoints=bench.scratch,
            progress=lambda done, total: current_run().progress(role, done, total),
        )
        student.save(bench.out / SCORER)
        return {
            "rows": len(rows),
            "steps": report.steps,
            "skipped_steps": report.skipped_steps,
            "parameters": student.parameters(),
        }

    return make(
        role,
        build,
        module=__name__,
        settings=_key(settings, present, live, has_log=has_log),
        upstream=[domain.catalog, transfer, *present.values(), *live.values(), start],
    )


def _optimization(settings: DistillationSettings, live: Labels, *, has_log: bool) -> Optimization:
    found = optimization(settings.training, has_log=has_log)
    if live and found.processes > 1:
        current_run().say("A live teacher answers in one process: this role is trained in one.")
        return replace(found, processes=1, split_weights=False)
    return found


def _key(
    settings: DistillationSettings, labels: Labels, live: Labels, *, has_log: bool
) -> dict[str, Any]:
    """What decides over the student beside its inputs' content."""
    return {
        **settings.model_dump(mode="json"),
        "weights": None if settings.base is None else _base(settings.base).fingerprint(),
        "labels": [*labels],
        "live": [*live],
        "has_log": has_log,
    }


def _smaller(
    start: Artifact, catalog: Catalog, rows: list[Row], settings: DistillationSettings
) -> tuple[PairScorer, list[PairText]]:
    """The scorer in the role's shape, untaught, and the pairs that will teach it."""
    student = _start(start, settings)
    pairs = catalog.pairs(student.template, rows)
    _shrink(student, settings, pairs)
    if settings.trim_vocabulary:
        # Embeddings are frozen, so this changes no step; checkpoints are the smaller for it.
        trim_vocabulary(student, catalog.scorer_texts(student.template, rows))
    return student, pairs


def _start(start: Artifact, settings: DistillationSettings) -> PairScorer:
    """The scorer to shrink: the tier before it, or a base model of the role's own."""
    scorer = PairScorer.load(start.file(SCORER))
    if settings.base is None:
        return scorer
    base = _base(settings.base)
    if settings.kept_layers == "important" and not base.is_causal():
        raise CookbookError(
            f"Layers are kept by what a scorer gives, and {base.name} is an encoder, whose head is "
            "new and gives nothing yet. Set kept_layers to spread or first, or base to null."
        )
    return new_scorer(base, scorer.outputs, scorer.template, seed=settings.training.seed)


def _base(settings: BaseModelSettings) -> BaseModel:
    return BaseModel(**settings.model_dump())


def _shrink(student: PairScorer, settings: DistillationSettings, pairs: list[PairText]) -> None:
    total, width = len(layers(student.model)), student.model.config.intermediate_size
    if settings.layers > total:
        raise CookbookError(
            f"A role keeps layers of what it starts from, which has {total}; came layers "
            f"{settings.layers}. Lower it, or start the role from a deeper base."
        )
    if not round(settings.mlp_share * width):
        raise CookbookError(
            f"A role keeps a unit of each MLP or more, of {width} here; came mlp_share "
            f"{settings.mlp_share:g}. Raise it."
        )
    if settings.layers < total:
        keep_layers(student.model, _kept_layers(student, settings, pairs))
    if settings.mlp_share < 1.0:
        student.model.to(best_device())  # type: ignore[arg-type]
        prune_mlps(student, settings.mlp_share, _some(pairs, PRUNING_PAIRS))


def _kept_layers(
    student: PairScorer, settings: DistillationSettings, pairs: list[PairText]
) -> list[int]:
    total = len(layers(student.model))
    if settings.kept_layers == "first":
        if family(student.model) != "bert":
            return list(range(settings.layers))
        # An encoder's last layer averages over the tokens: without it the head reads one token.
        return [*range(settings.layers - 1), total - 1]
    if settings.kept_layers == "spread":
        return spread_layers(total, settings.layers)
    student.model.to(best_device())  # type: ignore[arg-type]
    return important_layers(student, settings.layers, _some(pairs, LAYER_PAIRS))


def _some(pairs: list[PairText], most: int) -> list[PairText]:
    """At most so many of the pairs, evenly from all over them: a query's stand together."""
    if len(pairs) <= most:
        return pairs
    return [pairs[number * len(pairs) // most] for number in range(most)]


def _stored(labels: Artifact, rows: list[Row]) -> Opinion:
    """A teacher that is done: its raw logits of any rows, NaN where it did not score one."""
    logits = read_soft_labels(labels.folder, [row["pair_id"] for row in rows])
    return lambda numbers: logits[numbers]


def _live(teacher: Artifact, catalog: Catalog, rows: list[Row]) -> Opinion:
    """A teacher that scores rows when it is asked for them, as `score` would have."""
    scorer = PairScorer.load(teacher.file(SCORER), for_scoring=True)
    pairs = catalog.pairs(scorer.template, rows)
    return lambda numbers: scorer.logits([pairs[number] for number in numbers])


def _teachers(
    rows: list[Row],
    queries: npt.NDArray[np.int64],
    student: PairScorer,
    opinions: Mapping[str, Opinion],
    settings: DistillationSettings,
) -> list[Teacher]:
    """The teachers that are there; where all have one goal, it has all the weight."""
    # Without a click log a student has no actions to be taught, though a teacher may have some.
    present = [
        one
        for one in settings.teachers
        if (one.name in opinions or one.name == RETRIEVAL)
        and (one.kind != "actions" or student.outputs.actions)
    ]
    both = len({one.kind == "actions" for one in present}) == 2
    teachers = []
    for one in present:
        share = 1.0 - settings.alpha if one.kind == "actions" else settings.alpha
        weight = one.weight * (share if both else 1.0)
        said = _targets(one, rows, student.outputs.grade_count, opinions.get(one.name))
        # A live teacher is asked step by step; what it would say of all rows nobody computes.
        targets = np.empty((len(rows), 0), np.float32) if one.live else said(np.arange(len(rows)))
        live = said if one.live else None
        teachers.append(Teacher(one.name, one.kind, weight, one.temperature, targets, live=live))
    return settle_conflicts(teachers, queries, settings.conflicts)


def _targets(
    teacher: SoftTeacherSettings, rows: list[Row], grade_count: int, opinion: Opinion | None
) -> Opinion:
    """What the student is to match of any rows, (rows, ..), NaN where the teacher has no target."""
    if opinion is None:
        order = (order_of(rows)[:, None] * (RETRIEVAL_SCALE / GRADE_SCALE)).astype(np.float32)
        return lambda numbers: order[numbers]

    def wanted(numbers: Rows) -> Floats:
        logits = opinion(numbers)
        if teacher.kind == "actions":
            return np.ascontiguousarray(logits[:, grade_count:])
        grades = np.ascontiguousarray(logits[:, :grade_count])
        if teacher.kind == "grades":
            return grades
        scores: Floats = expected_grade(torch.from_numpy(grades))[:, None].numpy()
        return scores

    return wanted
