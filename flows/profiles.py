"""Run profiles: functions that return one Settings tree. A new experiment is a new function.

The laptop's numbers were measured in this project (DECISIONS.md), smoke's are as small as tests
allow, and each one of the GPU profiles says whether it was published or is assumed.
"""

from collections.abc import Callable
from typing import Literal

from flows.gpu_profiles import EMBEDDED as EMBEDDED
from flows.gpu_profiles import linkedin as linkedin
from flows.gpu_profiles import single_gpu as single_gpu
from tasks.branch import changed as changed
from tasks.core.errors import CookbookError
from tasks.settings import (
    POLICY_GRADES,
    BaseModelSettings,
    DistillationSettings,
    EvaluationSettings,
    FairnessSettings,
    ImpressionSettings,
    JudgeSettings,
    LoraSettings,
    MixSettings,
    PersonalizationSettings,
    PromotionSettings,
    RefreshSettings,
    Settings,
    ShardSettings,
    SoftTeacherSettings,
    SynthesisSettings,
    TeacherSettings,
    TrainingSettings,
)

# Two thousand shown rows hold some hundred clicks; the words' model has read the whole log.
SHOWN_CLICKS = SoftTeacherSettings(name="click", kind="actions", weight=0.3)
LOGGED_WORDS = SoftTeacherSettings(name="words", kind="actions", weight=0.7)
# What the encoder knew about similarity is partly lost in fine-tuning; retrieval's order keeps it.
RETRIEVED_ORDER = SoftTeacherSettings(name="retrieval", kind="listwise", weight=0.6)
TAUGHT_BY = (POLICY_GRADES, SHOWN_CLICKS, LOGGED_WORDS, RETRIEVED_ORDER)
# Small steps learn more from the same pairs than steps of 32 rows, and fit the cache; lists of four
# put five or six queries into a step, whole ones one or two, which is better for clicks alone.
STEPS = TrainingSettings(epochs=1, learning_rate=1e-3, rows_per_step=20, list_size=4)


def laptop() -> Settings:
    """Two CPU cores, no key, no network: MiniLM-L6 as the base of every role.

    Layer counts include the layer that averages over tokens (architecture.add_mean_pooling):
    MiniLM's six and that one make the teachers' seven. Sizes and rates were measured on two
    cores; DECISIONS.md holds the measurements.
    """
    teacher = TeacherSettings(base=EMBEDDED, training=STEPS)
    return Settings(
        profile="laptop",
        encoder=EMBEDDED,
        synthesis=SynthesisSettings(
            generated_queries=500, max_pairs=1300, max_pairs_without_log=6000
        ),
        policy_teacher=changed(
            teacher,
            training=changed(STEPS, learning_rate=7e-4, epochs=2.25, epochs_without_log=2.25),
            listwise_weight=0.3,
            max_tokens=80,
        ),
        # At 1e-3 one world in four ended in a constant; a few hundred clicks need no such rate.
        click_teacher=changed(
            teacher,
            training=changed(STEPS, learning_rate=2e-4, rows_per_step=16, list_size=16),
        ),
        impressions=ImpressionSettings(
            training_rows=2000,
            calibration_rows=2000,
            evaluation_rows=2000,
            # Some ninety members: with fifty an interval is as wide as what is gained.
            personalization_rows=18_000,
            later_rows=9000,
        ),
        assistant=_laptop_student(layers=6, epochs=0.4, alone=1.2),
        # Where teachers disagree the majority teaches: chosen on gate queries (DECISIONS.md).
        student=_laptop_student(layers=5, epochs=1, alone=2, conflicts="vote"),
        pruned_student=_laptop_student(
            layers=4, epochs=0.9, alone=2.5, mlp_share=0.5, conflicts="vote"
        ),
        # Five models read four inputs of each pair, 800 in all: 3 to 6 s at 150 to 300 a second.
        evaluation=EvaluationSettings(bias_pairs=40),
    )


def smoke() -> Settings:
    """Seconds, for tests: tiny random models, every stage and contract the same."""
    tiny = BaseModelSettings(source="random_decoder", name="tiny")
    training = TrainingSettings(
        epochs=1, learning_rate=1e-3, max_rows=200, checkpoint_every_steps=2
    )
    teacher = TeacherSettings(
        base=tiny,
        training=training,
        lora=LoraSettings(rank=2, alpha=4),
    )
    return Settings(
        profile="smoke",
        encoder=BaseModelSettings(source="random_encoder", name="tiny"),
        synthesis=SynthesisSettings(generated_queries=20, max_pairs=200),
        judge=JudgeSettings(kind="embedded", floor_kappa=0.0, floor_human_share=0.0),
        impressions=ImpressionSettings(
            training_rows=200,
            calibration_rows=100,
            evaluation_rows=200,
            personalization_rows=600,
            later_rows=400,
        ),
        # A token is a byte, and the question alone has 60.
        policy_teacher=changed(teacher, max_tokens=128),
        click_teacher=changed(teacher, ablate_start=True),
        assistant=DistillationSettings(layers=2, training=training),
        student=DistillationSettings(layers=1, teachers=TAUGHT_BY, training=training),
        pruned_student=DistillationSettings(layers=1, mlp_share=0.5, training=training),
        evaluation=EvaluationSettings(
            n_resamples=100, latency_requests=5, candidates_per_request=5, bias_pairs=8
        ),
        # Any relevance will do: the mix of the most clicks has some, and every stage then runs.
        mix=MixSettings(alphas=(0.8,), n_resamples=100, relevance_floor=0),
        fairness=FairnessSettings(
            n_resamples=100, minimum_group_clusters=2, twin_pairs=4, minimum_positives=5
        ),
        personalization=PersonalizationSettings(shards=ShardSettings(count=3)),
        refresh=RefreshSettings(minimum_rows=20, margin_auc=1.0, shards=ShardSettings(count=3)),
        promotion=_nothing_refused(),
    )


def _nothing_refused() -> PromotionSettings:
    """What tiny random models rank is noise, and their versions are to be promoted."""
    return PromotionSettings(
        minimum_kappa=-1,
        minimum_ndcg=0,
        minimum_kept_ndcg=0,
        minimum_click_auc=0,
        margin_ndcg=1,
        margin_slice_ndcg=1,
        margin_click_auc=1,
        n_resamples=200,
    )


def _laptop_student(
    layers: int,
    epochs: float,
    alone: float,
    mlp_share: float = 1.0,
    conflicts: Literal["none", "vote"] = "none",
) -> DistillationSettings:
    """``alone`` are the passes without a click log, in the time that its stages would take."""
    return DistillationSettings(
        layers=layers,
        mlp_share=mlp_share,
        conflicts=conflicts,
        teachers=TAUGHT_BY,
        training=changed(STEPS, epochs=epochs, epochs_without_log=alone, learning_rate=1e-4),
    )


PROFILES: dict[str, Callable[[], Settings]] = {
    function.__name__: function for function in (smoke, laptop, single_gpu, linkedin)
}


def profile(name: str) -> Settings:
    """The settings of a run profile by name.

    Raises:
        CookbookError: there is no such profile.
    """
    if name not in PROFILES:
        raise CookbookError(
            f"A profile is one of {', '.join(PROFILES)}; came {name!r}. "
            "Choose one of them, or add a function to flows/profiles.py."
        )
    return PROFILES[name]()
