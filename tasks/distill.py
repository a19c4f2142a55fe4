"""Step: soft labels in, a smaller scorer out; assistant, student, pruned student, baselines."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tasks.core.distillation.conflicts import settle_conflicts
from tasks.core.distillation.shrink import keep_layers, prune_mlps, spread_layers
from tasks.core.distillation.soft_labels import read_soft_labels
from tasks.core.distillation.students import Teacher
from tasks.core.distillation.students import distill as teach
from tasks.core.distillation.vocabulary import trim_vocabulary
from tasks.core.domain.catalog import Catalog
from tasks.core.inputs import PairText
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.tables import Row, read_rows
from tasks.core.training.architecture import layers
from tasks.core.training.base_models import BaseModel, new_scorer
from tasks.core.training.losses import expected_grade
from tasks.core.training.scorer import PairScorer
from tasks.core.training.teachers import GRADE_SCALE, RETRIEVAL_SCALE
from tasks.exchange import SCORER, TRANSFER, Domain, list_numbers, optimization, order_of
from tasks.run import current_run
from tasks.settings import BaseModelSettings, DistillationSettings, SoftTeacherSettings
from tasks.step import make, step

Labels = Mapping[str, Artifact | None]
# Pairs whose activations decide which MLP units stay.
PRUNING_PAIRS = 512


@step
def distill(
    role: str,
    domain: Domain,
    transfer: Artifact,
    labels: Labels,
    start: Artifact | None,
    settings: DistillationSettings,
) -> Artifact | None:
    """Teach a smaller scorer; ``start`` is the scorer whose weights it begins with.

    ``labels`` are the soft labels by teacher. A baseline of one teacher gets that teacher's
    alone; without any there is no student.
    """
    present = {name: artifact for name, artifact in labels.items() if artifact is not None}
    if start is None or not present:
        return None
    has_log = domain.impressions is not None

    def build(bench: Workbench) -> Counts:
        rows = read_rows(transfer.file(TRANSFER))[: settings.training.max_rows]
        student, pairs = _smaller(start, Catalog.load(domain.catalog.folder), rows, settings)
        queries = list_numbers([row["query_id"] for row in rows])
        report = teach(
            student,
            pairs,
            queries,
            _teachers(rows, queries, student, present, settings),
            optimization(settings.training, has_log=has_log),
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
        settings=_key(settings, present, has_log=has_log),
        upstream=[domain.catalog, transfer, *present.values(), start],
    )


def _key(settings: DistillationSettings, labels: Labels, *, has_log: bool) -> dict[str, Any]:
    """What decides over the student beside its inputs' content."""
    return {
        **settings.model_dump(mode="json"),
        "weights": None if settings.base is None else _base(settings.base).fingerprint(),
        "labels": [*labels],
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
    return new_scorer(base, scorer.outputs, scorer.template, seed=settings.training.seed)


def _base(settings: BaseModelSettings) -> BaseModel:
    return BaseModel(**settings.model_dump())


def _shrink(student: PairScorer, settings: DistillationSettings, pairs: list[PairText]) -> None:
    total = len(layers(student.model))
    if settings.layers < total:
        first = list(range(settings.layers))
        spread = spread_layers(total, settings.layers)
        keep_layers(student.model, spread if settings.kept_layers == "spread" else first)
    if settings.mlp_share < 1.0:
        step_size = max(1, len(pairs) // PRUNING_PAIRS)
        prune_mlps(student, settings.mlp_share, pairs[::step_size][:PRUNING_PAIRS])


def _teachers(
    rows: list[Row],
    queries: npt.NDArray[np.int64],
    student: PairScorer,
    labels: dict[str, Artifact],
    settings: DistillationSettings,
) -> list[Teacher]:
    """The teachers that are there; where all have one goal, it has all the weight."""
    present = [one for one in settings.teachers if one.name in labels or _is_retrieval(one, labels)]
    both = len({one.kind == "actions" for one in present}) == 2
    teachers = []
    for one in present:
        share = 1.0 - settings.alpha if one.kind == "actions" else settings.alpha
        weight = one.weight * (share if both else 1.0)
        targets = _targets(one, rows, student.outputs.grade_count, labels.get(one.name))
        name = f"{one.name}_{one.kind}"
        teachers.append(Teacher(name, one.kind, weight, one.temperature, targets))
    return settle_conflicts(teachers, queries, settings.conflicts)


def _is_retrieval(teacher: SoftTeacherSettings, labels: dict[str, Artifact]) -> bool:
    """Retrieval speaks of relevance, so it is silent in the student of clicks alone."""
    return teacher.name == "retrieval" and not labels.keys() <= {"click", "words"}


def _targets(
    teacher: SoftTeacherSettings, rows: list[Row], grade_count: int, labels: Artifact | None
) -> npt.NDArray[np.float32]:
    """What the student is to match, (rows, ..), NaN where the teacher did not score a row."""
    if labels is None:
        return (order_of(rows)[:, None] * (RETRIEVAL_SCALE / GRADE_SCALE)).astype(np.float32)
    logits = read_soft_labels(labels.folder, [row["pair_id"] for row in rows])
    if teacher.kind == "actions":
        return np.ascontiguousarray(logits[:, grade_count:])
    grades = np.ascontiguousarray(logits[:, :grade_count])
    if teacher.kind == "grades":
        return grades
    scores: npt.NDArray[np.float32] = expected_grade(torch.from_numpy(grades))[:, None].numpy()
    return scores
