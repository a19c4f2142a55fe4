"""Settings of a run: one frozen branch per step, with bounds and units, drawn by the UI as a form.

A step's digest depends on its own branch alone. Values come from a run profile in
flows/profiles.py; the code never asks which profile it is in.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, description="Seed of every random choice in this step.")]


class Branch(BaseModel):
    """A frozen branch that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BaseModelSettings(Branch):
    """Where a role's first weights come from."""

    source: Literal["embedded", "hub", "random_encoder", "random_decoder"] = Field(
        description="embedded: MiniLM-L6 from the installed package, checked by hash; hub: by name "
        "and revision, or a local folder; random: a tiny untrained model for tests."
    )
    name: str = Field(default="all-MiniLM-L6-v2", description="Name on the hub or local folder.")
    revision: str = Field(default="main", description="Hub revision: pin a commit.")


class GoldenSettings(Branch):
    """How golden queries are split where golden.csv has no split column."""

    tune_share: Share = 0.5
    gate_share: Share = 0.2


class SynthesisSettings(Branch):
    """Which pairs get a label."""

    generated_queries: int = Field(
        default=500, ge=0, description="Queries made from documents by template."
    )
    lexical_candidates: int = Field(default=4, ge=0, description="BM25 candidates per query.")
    dense_candidates: int = Field(default=4, ge=0, description="Nearest by embedding, per query.")
    hard_negatives: int = Field(default=2, ge=0, description="Similar but not near, per query.")
    random_negatives: int = Field(default=1, ge=0, description="Unrelated documents per query.")
    logged_pairs: int = Field(default=0, ge=0, description="Pairs taken from the click log.")
    max_pairs: Count = Field(default=6000, description="Pairs to label at most.")
    max_tokens: int = Field(default=24, ge=8, le=512, description="Tokens read for retrieval.")
    seed: Seed = 0


class JudgeSettings(Branch):
    """Who grades, and how good it must be before it may label."""

    kind: Literal["embedded", "endpoint"] = Field(
        default="embedded",
        description="embedded: small, on loopback, no LLM; endpoint: any OpenAI-compatible one.",
    )
    model: str = Field(default="embedded-minilm", description="Model name sent to the endpoint.")
    base_url: str | None = Field(default=None, description="Endpoint; None is the openai default.")
    api_key_variable: str = Field(
        default="OPENAI_API_KEY",
        pattern=r"^[A-Z][A-Z0-9_]*$",
        description="NAME of the environment variable that holds the key, never the key.",
    )
    floor_kappa: float = Field(
        default=0.4, ge=0, le=1, description="Least kappa on the gate split."
    )
    floor_human_share: Share = Field(
        default=0.5, description="Least share of the human raters' own kappa."
    )
    concurrency: int = Field(default=32, ge=1, le=1024, description="Requests in flight.")
    requests_per_minute: int = Field(default=0, ge=0, description="0: no limit.")
    tokens_per_minute: int = Field(default=0, ge=0, description="0: no limit.")
    timeout_s: float = Field(default=60.0, gt=0, description="Seconds for one request.")
    budget_usd: float = Field(default=25.0, ge=0, description="Hard cap on money per run.")
    max_quarantine_share: Share = 0.05
    seed: Seed = 0


class ImpressionSettings(Branch):
    """How logged impressions are cleaned, weighed and divided."""

    training_rows: Count = Field(default=6000, description="Rows that train the click teacher.")
    calibration_rows: Count = 2000
    evaluation_rows: Count = Field(default=4000, description="Rows of held-out members.")
    personalization_rows: Count = Field(default=12000, description="Rows for random effects.")
    later_rows: Count = Field(default=5000, description="Later rows that test personalization.")
    held_out_members: Share = Field(default=0.2, description="Members kept from all training.")
    propensity_clip: float = Field(default=0.1, gt=0, le=1, description="Least propensity used.")
    seed: Seed = 0


class TrainingSettings(Branch):
    """One role's optimization."""

    epochs: float = Field(gt=0, le=100)
    learning_rate: float = Field(gt=0, lt=1)
    head_learning_rate: float = Field(default=1e-3, gt=0, lt=1)
    rows_per_step: Count = 32
    list_size: int = Field(default=16, ge=2, description="Candidates of a query per list.")
    tokens_per_batch: int = Field(default=4096, ge=64, description="Token slots per pass.")
    max_rows: Count = Field(default=100_000, description="Rows used at most, per source.")
    weight_decay: float = Field(default=0.01, ge=0)
    checkpoint_every_steps: int = Field(default=100, ge=0, description="0: never.")
    seed: Seed = 0


class LoraSettings(Branch):
    """Low-rank adapters (peft): the update is scaled by alpha / rank."""

    rank: Count = 16
    alpha: Count = 32


class TeacherSettings(Branch):
    """A teacher: what it starts from and how it is trained."""

    base: BaseModelSettings
    training: TrainingSettings
    lora: LoraSettings | None = Field(
        default_factory=LoraSettings, description="None trains every weight."
    )
    max_tokens: int = Field(default=64, ge=16, le=8192, description="Tokens of a pair.")
    listwise_weight: float = Field(
        default=0.0, ge=0, description="Weight of the base encoder's cosine as a listwise teacher."
    )


class DistillationSettings(Branch):
    """A distilled role: its shape and its goals."""

    base: BaseModelSettings | None = Field(
        default=None, description="None: start from the weights of the tier before."
    )
    layers: Count = Field(description="Transformer layers kept.")
    kept_layers: Literal["spread", "first"] = Field(
        default="spread", description="Which layers stay: evenly spread, or the first ones."
    )
    mlp_share: float = Field(default=1.0, gt=0, le=1, description="Share of each MLP kept.")
    alpha: Share = Field(default=0.5, description="Share of the relevance goal in the loss.")
    temperature: float = Field(default=1.0, gt=0, le=20)
    listwise_weight: float = Field(default=0.0, ge=0)
    training: TrainingSettings


class CalibrationSettings(Branch):
    """Calibration of the served scorer."""

    bins: int = Field(default=15, ge=2, description="Equal-mass bins of the calibration error.")


class EffectSettings(Branch):
    """One kind of random effect: who has one, what it sees, and what holds it back."""

    entity: str = Field(
        pattern=r"^(member|job|query|(member|document)\.[A-Za-z0-9_ -]{1,64})$",
        description="Who has one: member, job, query, or all with one value of an attribute, "
        "such as document.company.",
    )
    features: bool = Field(
        default=False,
        description="Learn what the entity likes, from the pair's score and the document's "
        "embedding; off: only how much is clicked.",
    )
    l2_weight: float = Field(default=4.0, gt=0, description="Pull of each entity towards zero.")
    l1_weight: float = Field(default=0.0, ge=0, description="Above 0: elastic net, exact zeros.")
    intercept: Literal["penalized", "free", "absent"] = Field(
        default="penalized", description="free: not pulled towards zero; absent: features alone."
    )
    lower_bound: int = Field(default=2, ge=1, description="Least rows an entity trains on.")
    upper_bound: int | None = Field(
        default=None, ge=1, description="Most rows of an entity; those kept weigh for all."
    )
    feature_ratio: float | None = Field(
        default=None, gt=0, description="Features kept per row of an entity, by correlation."
    )
    coefficient_limit: float | None = Field(
        default=None, gt=0, description="Largest size of a coefficient."
    )
    variances: Literal["none", "simple", "full"] = Field(
        default="full", description="The daily refresh needs them: how sure each coefficient is."
    )


class PersonalizationSettings(Branch):
    """Random effects on top of the student's click logit."""

    coordinates: tuple[EffectSettings, ...] = Field(
        default=(EffectSettings(entity="member", features=True), EffectSettings(entity="job")),
        min_length=1,
        description="Kinds of effects, in the order in which they are fitted.",
    )
    passes: int = Field(default=3, ge=1, le=20, description="Passes over all kinds at most.")
    selection_share: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="Latest share of the rows that chooses the passes; 0: all passes are made.",
    )
    tuning_trials: int = Field(
        default=0, ge=0, le=200, description="Bayesian search of one l2_weight a kind; 0: none."
    )
    embedding_dimensions: int = Field(default=8, ge=0, le=64)
    seed: Seed = 0


class RefreshSettings(Branch):
    """The daily refresh of the effects in service, from impressions newer than they are."""

    fitting_rows: Count = Field(default=100_000, description="New rows that train at most.")
    testing_rows: Count = Field(default=20_000, description="Newest rows that test at most.")
    testing_share: float = Field(
        default=0.2, gt=0, lt=1, description="Latest share of the new rows, which tests."
    )
    minimum_rows: Count = Field(default=500, description="Fewer new rows: nothing is refreshed.")
    prior_weight: float = Field(
        default=1.0, gt=0, description="Weight of what is known; below 1 forgets faster."
    )
    margin_auc: float = Field(
        default=0.01, ge=0, description="Loss in click AUC to the effects in service allowed."
    )
    seed: Seed = 0


class EvaluationSettings(Branch):
    """How tiers are measured."""

    n_resamples: int = Field(default=1000, ge=100, description="Bootstrap resamples.")
    latency_requests: int = Field(default=30, ge=5, description="Requests timed per tier.")
    candidates_per_request: int = Field(default=20, ge=1)
    seed: Seed = 0


class FairnessSettings(Branch):
    """Fairness by group."""

    n_resamples: int = Field(default=500, ge=100)
    minimum_group_clusters: int = Field(
        default=20, ge=2, description="Groups with fewer queries or members are named small."
    )
    twin_pairs: int = Field(
        default=20,
        ge=0,
        description="Golden pairs whose member is told of with another name, pronoun, school or "
        "gap in employment; 0: none.",
    )
    mitigation_dials: tuple[Share, ...] = Field(
        default=(0.5, 1.0), description="Shares of the mended score whose cost is measured."
    )
    minimum_positives: int = Field(
        default=50, ge=2, description="Clicks a group needs before its scores are mended."
    )
    seed: Seed = 0


class PromotionSettings(Branch):
    """When a candidate may serve."""

    served_role: Literal["student", "pruned_student"] = "pruned_student"
    minimum_kappa: float = Field(default=0.3, ge=-1, le=1)
    minimum_ndcg: Share = 0.5
    minimum_kept_ndcg: float = Field(default=0.9, ge=0, description="Share of the teacher's NDCG.")
    margin_ndcg: float = Field(default=0.01, ge=0, description="Loss to the served model allowed.")
    approval: Literal["automatic", "required"] = "automatic"
    fairness: Literal["report", "refuse"] = Field(
        default="report",
        description="What a gap beyond its limit does; refuse also refuses what is not measured.",
    )
    fairness_limits: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default={"ndcg_at_10": 0.1, "calibration": 0.1},
        description="Largest gap between two groups on the gate split, by metric.",
    )
    n_resamples: int = Field(default=2000, ge=100)
    seed: Seed = 0


class Settings(Branch):
    """All of a run's settings."""

    profile: str = Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")
    golden: GoldenSettings = GoldenSettings()
    synthesis: SynthesisSettings = SynthesisSettings()
    judge: JudgeSettings = JudgeSettings()
    impressions: ImpressionSettings = ImpressionSettings()
    encoder: BaseModelSettings = Field(description="The encoder of retrieval and baselines.")
    policy_teacher: TeacherSettings
    click_teacher: TeacherSettings
    assistant: DistillationSettings
    student: DistillationSettings
    pruned_student: DistillationSettings
    calibration: CalibrationSettings = CalibrationSettings()
    personalization: PersonalizationSettings = PersonalizationSettings()
    refresh: RefreshSettings = RefreshSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    fairness: FairnessSettings = FairnessSettings()
    promotion: PromotionSettings = PromotionSettings()
