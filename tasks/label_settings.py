"""Settings of labeling: who is asked first, live or by the batch, and what an edit checks."""

from typing import Literal

from pydantic import Field, model_validator

from tasks.branch import Branch, Share
from tasks.judge_settings import JudgeSettings


class LabelSettings(Branch):
    """How pairs are labeled once the judge has passed."""

    cheap_judges: tuple[JudgeSettings, ...] = Field(
        default=(),
        max_length=2,
        description="Endpoints asked first; pairs of which they are unsure, or on which two of "
        "them differ, go to the judge. Empty: the judge labels everything.",
    )
    unsure_below: Share = Field(
        default=0.7, description="Probability of the likeliest grade below which a pair goes up."
    )
    audited_pairs: int = Field(
        default=50, ge=0, description="Pairs of the cheap judges that the judge labels as well."
    )
    mode: Literal["live", "batch"] = Field(
        default="live", description="batch: the provider's Batch API, half the price, up to a day."
    )
    batch_poll_s: float = Field(default=60.0, gt=0, description="Seconds between two looks.")
    missed_change_sample: int = Field(
        default=50,
        ge=0,
        description="After an edit of the policy: labels it seems not to touch that are asked "
        "again, to measure how many it changes all the same.",
    )

    @model_validator(mode="after")
    def _one_way(self) -> "LabelSettings":
        if self.cheap_judges and self.mode == "batch":
            raise ValueError("cheap_judges need mode live: a batch cannot send single pairs up")
        if any(judge.kind != "endpoint" for judge in self.cheap_judges):
            raise ValueError("cheap_judges are of kind endpoint: only those cite clauses")
        return self
