"""Step: soft labels in, a smaller scorer out; assistant, student, pruned student, baselines."""

import numpy as np
import numpy.typing as npt

from tasks.core.distillation.shrink import keep_layers, prune_mlps, spread_layers
from tasks.core.distillation.soft_labels import read_soft_labels
from tasks.core.distillation.students import Teacher
from tasks.core.distillation.students import distill as teach
from tasks.core.domain.catalog import Catalog
from tasks.core.inputs import PairText
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.tables import Row, read_rows
from tasks.core.training.architecture import layers
from tasks.core.training.base_models import BaseModel, new_scorer
from tasks.core.training.scorer import PairScorer
from tasks.exchange import SCORER, TRANSFER, Domain, list_numbers, optimization
from tasks.run import current_run
from tasks.settings import BaseModelSettings, DistillationSettings
from tasks.step import make, step

# Pairs whose activations decide which MLP units stay.
PRUNING_PAIRS = 512


@step
def distill(
    role: str,
    domain: Domain,
    transfer: Artifact,
    policy_labels: Artifact | None,
    click_labels: Artifact | None,
    start: Artifact | None,
    settings: DistillationSettings,
) -> Artifact | None:
    """Teach a smaller scorer; ``start`` is the scorer whose weights it begins with.

    A baseline of one teacher gets None for the other; without any there is no student.
    """
    if start is None or (policy_labels is None and click_labels is None):
        return None

    def build(bench: Workbench) -> Counts:
        rows = read_rows(transfer.file(TRANSFER))[: settings.training.max_rows]
        student = _start(start, settings)
        pairs = Catalog.load(domain.catalog.folder).pairs(student.template, rows)
        _shrink(student, settings, pairs)
        report = teach(
            student,
            pairs,
            list_numbers([row["query_id"] for row in rows]),
            _teachers(rows, student, policy_labels, click_labels, settings),
            optimization(settings.training),
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

    weights = None if settings.base is None else _base(settings.base).fingerprint()
    return make(
        role,
        build,
        module=__name__,
        settings={**settings.model_dump(mode="json"), "weights": weights},
        upstream=[domain.catalog, transfer, policy_labels, click_labels, start],
    )


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
    student: PairScorer,
    policy_labels: Artifact | None,
    click_labels: Artifact | None,
    settings: DistillationSettings,
) -> list[Teacher]:
    """The teachers and their weights; alone, a teacher has all the weight."""
    grades = student.outputs.grade_count
    ids = [row["pair_id"] for row in rows]
    both = policy_labels is not None and click_labels is not None
    temperature = settings.temperature
    teachers = []
    if policy_labels is not None:
        logits = read_soft_labels(policy_labels.folder, ids)[:, :grades]
        weight = settings.alpha if both else 1.0
        teachers.append(Teacher("policy", "grades", weight, temperature, logits))
        if settings.listwise_weight:
            listwise = weight * settings.listwise_weight
            teachers.append(Teacher("cosine", "listwise", listwise, 1.0, _cosines(rows)))
    if click_labels is not None:
        logits = read_soft_labels(click_labels.folder, ids)[:, grades:]
        weight = 1.0 - settings.alpha if both else 1.0
        teachers.append(
            Teacher("click", "actions", weight, temperature, np.ascontiguousarray(logits))
        )
    return teachers


def _cosines(rows: list[Row]) -> npt.NDArray[np.float32]:
    """The base encoder's cosine of each row, shape (rows, 1), NaN where it was not computed."""
    return np.array([[row["cosine"]] for row in rows], dtype=np.float32)
