"""Run profiles: functions that return one Settings tree. A new experiment is a new function.

Every number says where it comes from: a published source, a measurement of this project
(DECISIONS.md), or "assumed".
"""

from collections.abc import Callable

from tasks.core.errors import CookbookError
from tasks.settings import (
    BaseModelSettings,
    DistillationSettings,
    EvaluationSettings,
    FairnessSettings,
    ImpressionSettings,
    JudgeSettings,
    LoraSettings,
    PromotionSettings,
    Settings,
    SynthesisSettings,
    TeacherSettings,
    TrainingSettings,
)

EMBEDDED = BaseModelSettings(source="embedded")


def laptop() -> Settings:
    """Two CPU cores, no key, no network: MiniLM-L6 as the base of every role."""
    teacher = TrainingSettings(epochs=2, learning_rate=3e-4)
    student = TrainingSettings(epochs=1, learning_rate=2e-4)
    return Settings(
        profile="laptop",
        encoder=EMBEDDED,
        policy_teacher=TeacherSettings(base=EMBEDDED, training=teacher),
        click_teacher=TeacherSettings(
            base=EMBEDDED, training=TrainingSettings(epochs=1, learning_rate=3e-4)
        ),
        assistant=DistillationSettings(layers=5, training=student),
        student=DistillationSettings(layers=4, training=student),
        pruned_student=DistillationSettings(layers=3, mlp_share=0.5, training=student),
    )


def smoke() -> Settings:
    """Seconds, for tests: tiny random models, every stage and contract the same."""
    tiny = BaseModelSettings(source="random_decoder", name="tiny")
    training = TrainingSettings(
        epochs=1, learning_rate=1e-3, max_rows=200, checkpoint_every_steps=2
    )
    teacher = TeacherSettings(base=tiny, training=training, lora=LoraSettings(rank=2, alpha=4))
    return Settings(
        profile="smoke",
        encoder=BaseModelSettings(source="random_encoder", name="tiny"),
        synthesis=SynthesisSettings(generated_queries=20, max_pairs=200),
        judge=JudgeSettings(floor_kappa=0.0, floor_human_share=0.0),
        impressions=ImpressionSettings(
            training_rows=200,
            calibration_rows=100,
            evaluation_rows=200,
            personalization_rows=600,
            later_rows=400,
        ),
        policy_teacher=teacher,
        click_teacher=teacher,
        assistant=DistillationSettings(layers=2, training=training),
        student=DistillationSettings(layers=1, training=training),
        pruned_student=DistillationSettings(layers=1, mlp_share=0.5, training=training),
        evaluation=EvaluationSettings(
            n_resamples=100, latency_requests=5, candidates_per_request=5
        ),
        fairness=FairnessSettings(n_resamples=100, minimum_group_clusters=2),
        promotion=PromotionSettings(
            minimum_kappa=-1, minimum_ndcg=0, minimum_kept_ndcg=0, n_resamples=100
        ),
    )


def single_gpu() -> Settings:
    """One H100 or H200: LinkedIn's ladder on Qwen weights, the policy teacher by LoRA."""
    hub = {
        "policy_teacher": BaseModelSettings(source="hub", name="Qwen/Qwen2.5-7B-Instruct"),
    }
    return Settings(
        profile="single_gpu",
        encoder=EMBEDDED,
        synthesis=SynthesisSettings(generated_queries=50_000, max_pairs=1_000_000),
        judge=JudgeSettings(
            kind="endpoint", model="gpt-4.1-mini", floor_kappa=0.6, floor_human_share=0.8
        ),
        policy_teacher=TeacherSettings(
            base=hub["policy_teacher"],
            training=TrainingSettings(epochs=1, learning_rate=1e-4, tokens_per_batch=16_384),
            max_tokens=1024,
        ),
        click_teacher=TeacherSettings(
            base=hub["policy_teacher"],
            training=TrainingSettings(epochs=1, learning_rate=1e-4, tokens_per_batch=16_384),
            max_tokens=1024,
        ),
        assistant=DistillationSettings(
            layers=28,
            training=TrainingSettings(epochs=1, learning_rate=2e-5, tokens_per_batch=32_768),
        ),
        student=DistillationSettings(
            layers=28,
            training=TrainingSettings(epochs=1, learning_rate=2e-5, tokens_per_batch=32_768),
        ),
        pruned_student=DistillationSettings(
            layers=20,
            mlp_share=0.5,
            training=TrainingSettings(epochs=1, learning_rate=2e-5, tokens_per_batch=32_768),
        ),
    )


PROFILES: dict[str, Callable[[], Settings]] = {
    function.__name__: function for function in (smoke, laptop, single_gpu)
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
