"""Settings of query-intent classification, which no run needs."""

from pydantic import Field

from tasks.settings import BaseModelSettings, Branch, TrainingSettings


class IntentSettings(Branch):
    """What classifies queries, and how it is trained."""

    base: BaseModelSettings = BaseModelSettings(source="embedded")
    training: TrainingSettings = TrainingSettings(
        epochs=12, learning_rate=3e-4, head_learning_rate=3e-3
    )
    max_tokens: int = Field(default=32, ge=8, le=512, description="Tokens of a query.")
    test_share: float = Field(
        default=0.3, gt=0, lt=1, description="Queries kept from training where no split is given."
    )
