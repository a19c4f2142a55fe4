"""Settings of promotion: what a candidate must show, and who decides."""

from typing import Annotated, Literal

from pydantic import Field

from tasks.branch import Branch, Count, Seed, Share


class PromotionSettings(Branch):
    """When a candidate may serve."""

    served_role: Literal["student", "pruned_student"] = Field(
        default="pruned_student",
        description="Which model is up for promotion; the pruned one is faster.",
    )
    minimum_kappa: float = Field(
        default=0.3,
        ge=-1,
        le=1,
        description="Least agreement with people's grades (quadratic kappa) on the gate split; "
        "0: chance, 1: always the same grade.",
    )
    minimum_ndcg: Share = Field(
        default=0.5, description="Least NDCG@10 on the gate split; 1: every list in the best order."
    )
    minimum_kept_ndcg: float = Field(default=0.9, ge=0, description="Share of the teacher's NDCG.")
    minimum_click_auc: Share = Field(
        default=0.5, description="On members nobody learned from; 0.5 is chance."
    )
    margin_ndcg: float = Field(default=0.01, ge=0, description="Loss to the served model allowed.")
    margin_slice_ndcg: float = Field(
        default=0.05, ge=0, description="Loss to the served model allowed on one kind of query."
    )
    margin_click_auc: float = Field(
        default=0.05, ge=0, description="Loss of click AUC to the served model allowed."
    )
    require_gain: bool = Field(
        default=False, description="A later model must also be better than the one in service."
    )
    reference_pairs: Count = Field(
        default=400, description="Training pairs kept as a measure for drift of later traffic."
    )
    approval: Literal["automatic", "required"] = Field(
        default="automatic",
        description="automatic: a candidate that passes serves at once; required: it waits until "
        "a person approves it.",
    )
    fairness: Literal["report", "refuse"] = Field(
        default="report",
        description="What a gap beyond its limit does; refuse also refuses what is not measured.",
    )
    fairness_limits: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default={"ndcg_at_10": 0.1, "calibration": 0.1},
        description="Largest gap between two groups on the gate split, by metric.",
    )
    n_resamples: int = Field(
        default=2000,
        # The least p-value is 1 / (n + 1): by Holm over five kinds of query fewer refuse all.
        ge=200,
        description="Bootstrap resamples of the comparison with the model in service.",
    )
    seed: Seed = 0
