"""Settings of random effects: how they are fitted in a run, and refreshed between runs."""

from typing import Literal

from pydantic import Field

from tasks.branch import Branch, Count, Seed


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


class ShardSettings(Branch):
    """Entities in parts: a killed run goes on with the parts it lacks. The effects are the same."""

    count: int = Field(
        default=1, ge=1, le=100_000, description="Parts; 1: no files, fastest up to some millions."
    )
    threads: int = Field(default=1, ge=1, le=1024, description="Parts fitted at a time.")
    ray_address: str | None = Field(
        default=None,
        description="A Ray cluster that fits the parts instead of threads, such as head:6379; the "
        "store must be one folder that all its machines see.",
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
    embedding_dimensions: int = Field(
        default=8,
        ge=0,
        le=64,
        description="Numbers kept of a document's embedding, those that vary most, as features of "
        "effects; 0: the score alone.",
    )
    shards: ShardSettings = ShardSettings()
    seed: Seed = 0


class RefreshSettings(Branch):
    """The daily refresh of the effects in service, from impressions newer than they are."""

    fitting_rows: Count = Field(default=100_000, description="New rows that train at most.")
    testing_rows: Count = Field(default=20_000, description="Newest rows that test at most.")
    testing_share: float = Field(
        default=0.2, gt=0, lt=1, description="Latest share of the new rows, which tests."
    )
    passes: int = Field(
        default=2, ge=1, le=20, description="Passes over all kinds of effects, all of them made."
    )
    minimum_rows: Count = Field(default=500, description="Fewer new rows: nothing is refreshed.")
    prior_weight: float = Field(
        default=1.0, gt=0, description="Weight of what is known; below 1 forgets faster."
    )
    margin_auc: float = Field(
        default=0.01, ge=0, description="Loss in click AUC to the effects in service allowed."
    )
    shards: ShardSettings = ShardSettings()
    seed: Seed = 0
