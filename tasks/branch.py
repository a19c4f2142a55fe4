"""What every branch of the settings is made of."""

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, description="Seed of every random choice in this step.")]


class Branch(BaseModel):
    """A frozen branch that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


AnyBranch = TypeVar("AnyBranch", bound=Branch)


def changed(branch: AnyBranch, **changes: Any) -> AnyBranch:
    """A copy with other values, every bound checked anew (``model_copy`` would check none)."""
    return type(branch).model_validate({**dict(branch), **changes})
