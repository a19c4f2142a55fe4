"""What the settings of a form may name: no model, folder or cluster but those known to the server.

Whoever reaches the UI fills in forms. A folder or a hub's name decides which weights are read, and
an address of a cluster where members' rows are sent and whose replies are unpickled.
"""

import os
from collections.abc import Iterator, Mapping
from typing import get_args

from pydantic import BaseModel

from flows.cookbook import ProfileName
from flows.profiles import profile
from tasks.core.errors import CookbookError
from tasks.personal_settings import ShardSettings
from tasks.settings import Settings
from tasks.training_settings import BaseModelSettings, FurtherTeacherSettings

PLACES_VARIABLE = "COOKBOOK_FORM_PLACES"


def check_places(settings: Settings, environment: Mapping[str, str] = os.environ) -> None:
    """Refuse settings that lead elsewhere than a shipped profile or the environment does.

    Raises:
        CookbookError: they name another model, folder or cluster.
    """
    known = {place for name in get_args(ProfileName) for place in _places(profile(name))}
    allowed = {one.strip() for one in environment.get(PLACES_VARIABLE, "").split(",")}
    if unknown := sorted(set(_places(settings)) - known - allowed):
        raise CookbookError(
            f"Settings from a form may name the models of the profiles and what whoever runs the "
            f"server names in its environment; these name {', '.join(map(repr, unknown))}. If that "
            f"is wanted, set {PLACES_VARIABLE} to it (several by commas) and start serving again."
        )


def _places(part: BaseModel) -> Iterator[str]:
    """Names of models, folders of teachers and addresses of clusters, at any depth."""
    match part:
        case BaseModelSettings(source="hub", name=place):
            yield place
        case FurtherTeacherSettings(folder=place):
            yield place
        case ShardSettings(ray_address=str(place)):
            yield place
    for value in dict(part).values():
        for one in value if isinstance(value, list | tuple) else [value]:
            if isinstance(one, BaseModel):
                yield from _places(one)
