"""Run profiles: functions that return one Settings tree. A new experiment is a new function.

Every number says where it comes from: a published source, a measurement of this project
(DECISIONS.md), or "assumed".
"""

from collections.abc import Callable
from typing import Any, TypeVar

from tasks.core.errors import CookbookError
from tasks.settings import (
    CLICK_ACTIONS,
    POLICY_GRADES,
    BaseModelSettings,
    Branch,
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

EMBEDDED = BaseModelSettings(source="embedded")
# What the encoder knew about similarity is partly lost in fine-tuning; retrieval's order keeps it.
RETRIEVED_ORDER = SoftTeacherSettings(name="retrieval", kind="listwise", weight=0.6)
# Small steps learn more from the same pairs than steps of 32 rows, and fit the cache; lists of four
# put five or six queries into a step, whole ones one or two, which is better for clicks alone.
STEPS = TrainingSettings(epochs=1, learning_rate=1e-3, rows_per_step=20, list_size=4)


def laptop() -> Settings:
    """Two CPU cores, no key, no network: MiniLM-L6 as the base of every role.

    Layer counts include the layer that averages over tokens (architecture.add_mean_pooling):
    MiniLM's six and that one make the teachers' seven. Sizes and rates were measured on two
    cores; DECISIONS.md holds the measurements.
    """
    teacher = TeacherSettings(base=EMBEDDED, training=STEPS, max_tokens=80)
    return Settings(
        profile="laptop",
        encoder=EMBEDDED,
        synthesis=SynthesisSettings(
            generated_queries=500, max_pairs=1800, max_pairs_without_log=6000
        ),
        policy_teacher=changed(
            teacher,
            training=changed(STEPS, epochs=2),
            listwise_weight=0.3,
        ),
        click_teacher=changed(teacher, training=changed(STEPS, rows_per_step=16, list_size=16)),
        impressions=ImpressionSettings(
            training_rows=2000,
            calibration_rows=1000,
            evaluation_rows=2000,
            personalization_rows=12_000,
            later_rows=5000,
        ),
        assistant=_laptop_student(layers=6, epochs=0.5),
        student=_laptop_student(layers=5, epochs=0.8),
        pruned_student=_laptop_student(layers=4, epochs=1, mlp_share=0.5),
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
        max_tokens=128,  # a token is a byte, and the question alone has 60
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
        policy_teacher=teacher,
        click_teacher=teacher,
        assistant=DistillationSettings(layers=2, training=training),
        student=DistillationSettings(layers=1, training=training),
        pruned_student=DistillationSettings(layers=1, mlp_share=0.5, training=training),
        evaluation=EvaluationSettings(
            n_resamples=100, latency_requests=5, candidates_per_request=5, bias_pairs=8
        ),
        mix=MixSettings(alphas=(0.8,), n_resamples=100),
        fairness=FairnessSettings(
            n_resamples=100, minimum_group_clusters=2, twin_pairs=4, minimum_positives=5
        ),
        personalization=PersonalizationSettings(shards=ShardSettings(count=3)),
        refresh=RefreshSettings(minimum_rows=20, margin_auc=1.0, shards=ShardSettings(count=3)),
        promotion=PromotionSettings(
            minimum_kappa=-1, minimum_ndcg=0, minimum_kept_ndcg=0, n_resamples=100
        ),
    )


def single_gpu() -> Settings:
    """One H100 or H200: LinkedIn's ladder on Qwen weights, the policy teacher by LoRA.

    Matrix products are bfloat16, weights and optimizer states float32. A step's rows fit one
    pass, so that nothing is computed twice; longer steps are cut and cost a second forward.
    """
    teacher = _gpu_teacher()
    return Settings(
        profile="single_gpu",
        encoder=EMBEDDED,
        synthesis=SynthesisSettings(
            generated_queries=50_000,  # assumed: with the log's queries, enough for 400,000 pairs
            max_pairs=400_000,  # arXiv 2512.07846: most of the gain of more data comes by 400K
        ),
        judge=_gpu_judge(),
        impressions=_gpu_impressions(),
        policy_teacher=teacher,
        click_teacher=teacher,  # its weights are the policy teacher's (published); base unused
        assistant=DistillationSettings(
            base=BaseModelSettings(source="hub", name="Qwen/Qwen3-1.7B"),  # published: 1.7B
            layers=28,  # Qwen3-1.7B's own depth
            training=_gpu_distillation(rows_per_step=32),  # 32 x 512 tokens x 1.8 MB: 29 GB
        ),
        student=DistillationSettings(
            base=BaseModelSettings(source="hub", name="Qwen/Qwen3-0.6B"),  # published: 0.6B
            layers=28,  # Qwen3-0.6B's own depth
            training=_gpu_distillation(rows_per_step=64),  # 64 x 512 tokens x 1.0 MB: 34 GB
        ),
        mix=MixSettings(
            alphas=(0.3, 0.7),  # assumed: beside 0.5, which is not published either
            conflicts=("agreement", "vote"),  # compared with the fixed alpha, chosen by rule
        ),
        evaluation=EvaluationSettings(bias_pairs=500),  # assumed: shifts to about 0.01
        pruned_student=DistillationSettings(
            layers=20,  # published: the last 8 of 28 layers off (arXiv 2502.14305)
            kept_layers="first",
            mlp_share=0.5,  # published: half of every MLP; 375,830,528 parameters are left
            training=_gpu_distillation(rows_per_step=64),
        ),
        personalization=PersonalizationSettings(tuning_trials=20),  # assumed
        fairness=FairnessSettings(twin_pairs=200),  # assumed: ten times the laptop
        promotion=PromotionSettings(
            minimum_kappa=0.5,  # assumed: a little below the judge's floor
            minimum_kept_ndcg=0.95,  # published: the 0.6B keeps 97.4% of its teacher's NDCG@10
        ),
    )


def linkedin() -> Settings:
    """A node of GPUs or more: as single_gpu, with LinkedIn's data sizes and a full 7B teacher.

    All 7.6 billion weights of the policy teacher train, which needs 122 GB for weights and
    AdamW alone, so accelerate must shard it (FSDP2); the students fit one card and run under
    DDP. Written from what was published; it has not been run.
    """
    one = single_gpu()
    teacher = changed(
        one.policy_teacher,
        lora=None,  # published: supervised fine-tuning of the policy model
        training=changed(
            one.policy_teacher.training,
            learning_rate=1e-5,  # assumed: a tenth of LoRA's rate, since every weight moves
            head_learning_rate=1e-5,
            max_rows=20_000_000,  # all labeled pairs, or all impressions
        ),
    )
    return changed(
        one,
        profile="linkedin",
        synthesis=changed(
            one.synthesis,
            generated_queries=500_000,  # assumed: ten times one GPU's
            max_pairs=8_000_000,  # published: gains stop near 8 million pairs (arXiv 2602.07309)
        ),
        judge=changed(
            one.judge,
            concurrency=512,  # assumed: one's own endpoint, tens of millions of grades a day
            budget_usd=10_000.0,  # 8 million labels at one GPU's price: 8,000
        ),
        impressions=changed(
            one.impressions,
            training_rows=20_000_000,  # assumed: 20 times one GPU's
            personalization_rows=50_000_000,  # assumed: 25 times one GPU's
        ),
        # Assumed: 200,000 rows a shard.
        personalization=changed(one.personalization, shards=ShardSettings(count=256, threads=16)),
        policy_teacher=teacher,
        click_teacher=teacher,
        **{role: _all_pairs(getattr(one, role)) for role in DISTILLED},
        promotion=changed(one.promotion, approval="required"),  # published: managers decide
    )


DISTILLED = ("assistant", "student", "pruned_student")
AnyBranch = TypeVar("AnyBranch", bound=Branch)


def changed(branch: AnyBranch, **changes: Any) -> AnyBranch:
    """A copy with other values, every bound checked anew (``model_copy`` would check none)."""
    return type(branch).model_validate({**dict(branch), **changes})


def _laptop_student(layers: int, epochs: float, mlp_share: float = 1.0) -> DistillationSettings:
    return DistillationSettings(
        layers=layers,
        mlp_share=mlp_share,
        teachers=(POLICY_GRADES, CLICK_ACTIONS, RETRIEVED_ORDER),
        # Without a log, in the time that the stages of clicks would take.
        training=changed(STEPS, epochs=epochs, epochs_without_log=2.5 * epochs, learning_rate=1e-4),
    )


def _gpu_judge() -> JudgeSettings:
    return JudgeSettings(
        kind="endpoint",
        model="gpt-4.1-mini",  # assumed: cheap, and gives log-probabilities of its grades
        floor_kappa=0.6,  # assumed: below the 0.77 of LinkedIn's frontier judge (SAGE)
        floor_human_share=0.8,  # assumed: a little below what raters reach among themselves
        budget_usd=500.0,  # 400,000 labels of 2,500 tokens at 0.40 USD per million: 400
    )


def _gpu_teacher() -> TeacherSettings:
    return TeacherSettings(
        # Published: a 7B policy model; which one is not.
        base=BaseModelSettings(source="hub", name="Qwen/Qwen2.5-7B-Instruct"),
        training=TrainingSettings(
            epochs=1,  # assumed: more pairs before more passes
            learning_rate=1e-4,  # assumed: usual for LoRA of 7B, ten times full fine-tuning
            head_learning_rate=1e-4,  # assumed: rows of the LM head, no fresh weights
            rows_per_step=16,  # 16 x 512 tokens x 4.6 MB of activations: 38 GB
            tokens_per_batch=8_192,  # one pass a step
            max_rows=1_000_000,  # all labeled pairs, or all impressions
        ),
        lora=LoraSettings(rank=16, alpha=32),  # assumed: twice the rank, peft's usual ratio
        max_tokens=512,  # published: 95 of 100 prompts have about 500 tokens once summarized
    )


def _gpu_distillation(rows_per_step: int) -> TrainingSettings:
    return TrainingSettings(
        epochs=1,  # assumed: more pairs before more passes
        learning_rate=2e-5,  # assumed: usual for full fine-tuning at this size
        head_learning_rate=1e-4,  # assumed: rows of the LM head, no fresh weights
        rows_per_step=rows_per_step,
        tokens_per_batch=rows_per_step * 512,  # one pass a step
        max_rows=2_000_000,  # all 400,000 labeled pairs and all 1,000,000 impressions
        checkpoint_every_steps=500,  # assumed: some minutes of work between two
    )


def _gpu_impressions() -> ImpressionSettings:
    return ImpressionSettings(
        training_rows=1_000_000,  # assumed: as many as the relevance goal's, within a factor
        calibration_rows=50_000,  # assumed: 3,000 rows in each of 15 bins
        evaluation_rows=100_000,  # assumed: AUC to about 0.003
        personalization_rows=2_000_000,  # assumed: some tens of rows for each of many members
        later_rows=200_000,  # assumed: a tenth of what the effects saw
    )


def _all_pairs(role: DistillationSettings) -> DistillationSettings:
    return changed(role, training=changed(role.training, max_rows=30_000_000))  # 8M + 20M


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
