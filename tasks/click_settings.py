"""Settings of the click log: which rows are used for what, and the teacher that reads them all."""

from pydantic import Field

from tasks.branch import Branch, Count, Seed, Share


class ImpressionSettings(Branch):
    """How logged impressions are cleaned, weighed and divided."""

    training_rows: Count = Field(default=6000, description="Rows that train the click teacher.")
    calibration_rows: Count = Field(
        default=2000, description="Rows of members who train no weights; they calibrate clicks."
    )
    evaluation_rows: Count = Field(default=4000, description="Rows of held-out members.")
    personalization_rows: Count = Field(
        default=12000, description="Rows for effects, whole members."
    )
    later_rows: Count = Field(default=5000, description="Later rows that test personalization.")
    held_out_members: Share = Field(default=0.2, description="Members kept from all training.")
    propensity_clip: float = Field(default=0.1, gt=0, le=1, description="Least propensity used.")
    seed: Seed = 0


class ClickWordsSettings(Branch):
    """The teacher ``words``: a linear model of candidates' words on the whole training log."""

    max_rows: int = Field(
        default=100_000, ge=0, description="Rows of the log read at most; 0: no such teacher."
    )
    l2: float = Field(default=100.0, gt=0, description="Ridge on a word's weight.")
    seed: Seed = 0
