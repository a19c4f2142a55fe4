"""Settings of fairness: what is measured between groups, and whether it is mended."""

from pydantic import Field

from tasks.branch import Branch, Seed, Share


class MitigationSettings(Branch):
    """Values of documents that are mended between groups wherever the model serves."""

    attribute: str | None = Field(
        default=None,
        description="Attribute in the documents' groups, such as size; none: it is measured alone.",
    )
    strength: Share = Field(
        default=1.0, description="Share of the mended value: 1 is equal opportunity, 0 as before."
    )


class FairnessSettings(Branch):
    """Fairness by group."""

    n_resamples: int = Field(
        default=500,
        ge=100,
        description="Bootstrap resamples behind each gap's interval; more are steadier and slower.",
    )
    minimum_group_clusters: int = Field(
        default=20, ge=2, description="Groups with fewer queries or members are named small."
    )
    twin_pairs: int = Field(
        default=20,
        ge=0,
        description="Golden pairs whose member is told of with another name, pronoun, school or "
        "gap in employment; 0: none.",
    )
    judge_twins: bool = Field(
        default=True,
        description="Ask the judge about the twins too: ten labels a pair, from its budget.",
    )
    mitigation_dials: tuple[Share, ...] = Field(
        default=(0.5, 1.0), description="Shares of the mended score whose cost is measured."
    )
    minimum_positives: int = Field(
        default=50, ge=2, description="Clicks a group needs before its scores are mended."
    )
    mitigation: MitigationSettings = MitigationSettings()
    seed: Seed = 0
