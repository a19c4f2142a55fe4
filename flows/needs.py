"""What a run will need, told before it starts: packages, GPUs, base models, disk by an estimate."""

import re
from importlib.util import find_spec
from pathlib import Path

from tasks.core.domain.paths import DomainPaths
from tasks.core.errors import CookbookError
from tasks.machine import processes, splits_weights
from tasks.settings import BaseModelSettings, DistillationSettings, Settings

BYTES_PER_WEIGHT = 4  # trained scorers are stored as float32
# While a role trains: two checkpoints, each of weights and AdamW's two moments.
CHECKPOINT_COPIES = 2 * 3
TINY_BYTES = 5_000_000  # a random model of the smoke profile, its tokenizer included
EMBEDDED_BYTES = 100_000_000  # MiniLM-L6 with a layer of its own that averages, and its tokenizer
BYTES_PER_PAIR = 8_000  # pair, judgment, the judge's raw reply in the journal, soft labels
BYTES_PER_IMPRESSION = 1_000
# Tables, vectors and random effects made of the user's files, against those files' own size.
TIMES_DOMAIN = 10


def check_packages(settings: Settings, paths: DomainPaths) -> None:
    """Pass if what personalization imports is there: it comes after the labels are paid for.

    Raises:
        CookbookError: a package that the settings ask for is not installed.
    """
    personal = settings.personalization
    asked = {
        "optuna": ("tuning", "personalization.tuning_trials to 0", personal.tuning_trials),
        "ray": ("ray", "personalization.shards.ray_address to null", personal.shards.ray_address),
    }
    for package, (extra, instead, wanted) in asked.items():
        if wanted and paths.impressions is not None and find_spec(package) is None:
            raise CookbookError(
                f"Personalization needs {package} by these settings, and it is not installed. Run "
                f"`pip install --editable '.[{extra}]' --constraint constraints.txt`, or set "
                f"{instead}."
            )


def check_bases(settings: Settings) -> None:
    """Pass if each base model from the hub can be had: the judge is billed before any is loaded.

    Raises:
        CookbookError: one cannot.
    """
    from tasks.core.training.base_models import BaseModel  # with torch, which planning waits for

    roles = (settings.policy_teacher, settings.click_teacher, settings.assistant, settings.student)
    bases = [settings.encoder, *(role.base for role in (*roles, settings.pruned_student))]
    named = dict.fromkeys(base for base in bases if base is not None and base.source == "hub")
    for base in named:
        BaseModel(**base.model_dump()).check()


def check_processes() -> None:
    """Pass if the machine has what its environment promises to training and scoring.

    Raises:
        CookbookError: it promises no number, or more processes than there are GPUs.
    """
    splits_weights()
    if (count := processes()) > 1:
        from tasks.core.training.processes import check_gpus  # with torch, as above

        check_gpus(count)


def needed_bytes(settings: Settings, paths: DomainPaths) -> int:
    """An estimate of a run's bytes on disk, rather too high: scorers, checkpoints, labels, tables.

    A distilled role counts as large as what it starts from. Not counted: weights whose size
    neither a file nor a name such as ``Qwen3-0.6B`` tells, LoRA's checkpoints, the click teacher
    from the other start (``ablate_start``), what a further teacher's folder holds, and what an
    earlier run left.
    """
    log = settings.impressions
    rows = log.training_rows + log.calibration_rows + log.evaluation_rows
    rows += log.personalization_rows + log.later_rows
    brought = (paths.golden, paths.documents, paths.queries, paths.members, paths.impressions)
    tables = TIMES_DOMAIN * sum(path.stat().st_size for path in brought if path is not None)
    labels = settings.synthesis.most_labels(has_log=paths.impressions is not None) * BYTES_PER_PAIR
    shown = rows * BYTES_PER_IMPRESSION if paths.impressions else 0
    return _scorer_bytes(settings) + tables + labels + shown


def _scorer_bytes(settings: Settings) -> int:
    teacher = _weights(settings.policy_teacher.base)
    assistant = _distilled(settings.assistant, teacher)
    student = _distilled(settings.student, assistant)
    pruned = _distilled(settings.pruned_student, student)
    tried = len(settings.mix.alphas) + len(settings.mix.conflicts)
    # Teachers; the ladder; two baselines and what is tried beside the student; student and pruned
    # student calibrated; one registered.
    finished = 2 * teacher + assistant + (3 + tried) * student + pruned + student + pruned + student
    # LoRA's checkpoints are small; a distilled role trains every weight.
    whole = teacher if settings.policy_teacher.lora is None else 0
    # A model goes to several processes, and comes back, by the disk.
    sent = 2 * max(teacher, assistant, student, pruned) if processes() > 1 else 0
    return finished + CHECKPOINT_COPIES * max(whole, assistant, student, pruned) + sent


def _distilled(role: DistillationSettings, before: int) -> int:
    return before if role.base is None else _weights(role.base)


def _weights(settings: BaseModelSettings) -> int:
    """Bytes of a base's weights as float32."""
    if settings.source.startswith("random"):
        return TINY_BYTES
    if settings.source == "embedded":
        return EMBEDDED_BYTES
    if Path(settings.name).is_dir():
        # Published files hold two bytes a weight as a rule.
        return 2 * sum(path.stat().st_size for path in Path(settings.name).glob("*.safetensors"))
    billions = re.search(r"(\d+(?:\.\d+)?)B(?![a-z])", settings.name)
    return int(float(billions[1]) * 1e9) * BYTES_PER_WEIGHT if billions else 0
