"""Run profiles of machines with GPUs, written from what was published; neither has been run.

Every number says where it comes from: a published source or "assumed".
"""

from tasks.branch import changed
from tasks.settings import (
    BaseModelSettings,
    ClickWordsSettings,
    DistillationSettings,
    EvaluationSettings,
    FairnessSettings,
    ImpressionSettings,
    JudgeSettings,
    LoraSettings,
    MixSettings,
    PersonalizationSettings,
    PromotionSettings,
    Settings,
    ShardSettings,
    SynthesisSettings,
    TeacherSettings,
    TrainingSettings,
)

EMBEDDED = BaseModelSettings(source="embedded")
DISTILLED = ("assistant", "student", "pruned_student")


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
        policy_teacher=changed(teacher, max_tokens=512),  # published: prompts of about 500 tokens
        # Its weights are the policy teacher's (published); the base is the ablation.
        click_teacher=changed(teacher, ablate_start=True),
        assistant=DistillationSettings(
            base=BaseModelSettings(source="hub", name="Qwen/Qwen3-1.7B"),  # published: 1.7B
            layers=28,  # Qwen3-1.7B's own depth
            training=_gpu_distillation(rows_per_step=32),  # 32 x 512 tokens x 3.9 MB: 63 GB
        ),
        student=DistillationSettings(
            base=BaseModelSettings(source="hub", name="Qwen/Qwen3-0.6B"),  # published: 0.6B
            layers=28,  # Qwen3-0.6B's own depth
            training=_gpu_distillation(rows_per_step=64),  # 64 x 512 tokens x 2.4 MB: 79 GB
        ),
        click_words=ClickWordsSettings(max_rows=0),  # a million rows teach the transformer itself
        # Assumed: beside 0.5, which is not published either; chosen by rule. Two cannot vote.
        mix=MixSettings(alphas=(0.3, 0.7), conflicts=("agreement",)),
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
    """As single_gpu, with LinkedIn's data sizes and a 7B policy teacher that is trained whole.

    All 7.6 billion weights of the policy teacher train, which takes 122 GB for weights, gradients
    and AdamW: a card beyond that, several that split them (docs/cluster.md), or LoRA as in
    `single_gpu`. Written from what was published; it has not been run.
    """
    one = single_gpu()
    teacher = changed(
        one.click_teacher,
        ablate_start=False,  # assumed: no ablation at this price
        lora=None,  # published: supervised fine-tuning of the policy model
        training=changed(
            one.policy_teacher.training,
            learning_rate=1e-5,  # assumed: a tenth of LoRA's rate, since every weight moves
            head_learning_rate=1e-5,
            max_rows=20_000_000,  # all labeled pairs, or all impressions
            # Assumed: about an hour between two, of which each writes 78 GB.
            checkpoint_every_steps=5_000,
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
        policy_teacher=changed(teacher, max_tokens=one.policy_teacher.max_tokens),
        click_teacher=teacher,
        **{role: _all_pairs(getattr(one, role)) for role in DISTILLED},
        promotion=changed(one.promotion, approval="required"),  # published: managers decide
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
            rows_per_step=16,  # 16 x 512 tokens x 6.7 MB of activations: 55 GB
            tokens_per_batch=8_192,  # one pass a step
            max_rows=1_000_000,  # all labeled pairs, or all impressions
        ),
        lora=LoraSettings(rank=16, alpha=32),  # assumed: twice the rank, peft's usual ratio
    )


def _gpu_distillation(rows_per_step: int) -> TrainingSettings:
    return TrainingSettings(
        epochs=1,  # assumed: more pairs before more passes
        learning_rate=2e-5,  # assumed: usual for full fine-tuning at this size
        head_learning_rate=1e-4,  # assumed: rows of the LM head, no fresh weights
        rows_per_step=rows_per_step,
        tokens_per_batch=rows_per_step * 512,  # one pass a step
        max_rows=2_000_000,  # all 400,000 labeled pairs and all 1,000,000 impressions
        # Assumed: ten minutes of the assistant's steps between two, of which each writes 17 GB.
        checkpoint_every_steps=2_000,
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
