"""What the settings of a form may ask for: places known to the server, its money, and no removal.

Whoever reaches the UI fills in forms. A folder or a hub's name decides which weights are read, and
an address of a cluster where members' rows are sent and whose replies are unpickled.
"""

import os
import re
from collections.abc import Iterator, Mapping
from typing import get_args

from pydantic import BaseModel

from flows.cookbook import ProfileName
from flows.profiles import changed, profile
from tasks.core.errors import CookbookError
from tasks.core.labeling.address import ADDRESS_VARIABLE, OPENAI, host_of
from tasks.personal_settings import ShardSettings
from tasks.settings import Settings
from tasks.training_settings import BaseModelSettings, FurtherTeacherSettings

PLACES_VARIABLE = "COOKBOOK_FORM_PLACES"
BUDGET_VARIABLE = "COOKBOOK_FORM_BUDGET_USD"


def check_form(settings: Settings, environment: Mapping[str, str] = os.environ) -> None:
    """Refuse settings of a form that go beyond the shipped profiles and the environment.

    Raises:
        CookbookError: they lead elsewhere, spend more, or remove what is kept.
    """
    check_places(settings, environment)
    _check_budget(settings, environment)
    shipped = [profile(name) for name in get_args(ProfileName)]
    if settings.retention_days not in {None, *(one.retention_days for one in shipped)}:
        raise CookbookError(
            f"Settings from a form remove no runs: retention_days stays empty; came "
            f"{settings.retention_days}. Whoever runs the server removes with `cookbook clean`."
        )


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


def _check_budget(settings: Settings, environment: Mapping[str, str]) -> None:
    shipped = {str(name): profile(name) for name in get_args(ProfileName)}
    usual = shipped.get(settings.profile, shipped["laptop"]).judge.budget_usd
    said = _dollars(environment)
    most = usual if said is None else said
    if settings.judge.budget_usd > most:
        raise CookbookError(
            f"Settings from a form may let a judge spend {most:,.2f} dollars (budget_usd); came "
            f"{settings.judge.budget_usd:,.2f}. If that is wanted, set {BUDGET_VARIABLE} where the "
            "server runs and start serving again."
        )
    # A price that is stated too low would make the budget mean nothing.
    for judge in (settings.judge, *settings.labels.cheap_judges):
        address = judge.base_url or environment.get(ADDRESS_VARIABLE, "").strip() or OPENAI
        if judge.prices and host_of(address) == host_of(OPENAI):
            raise CookbookError(
                "Settings from a form state no prices of OpenAI's models: their budget is kept by "
                "the list price. Leave judge.prices empty."
            )


def within_ceiling(settings: Settings, environment: Mapping[str, str] = os.environ) -> Settings:
    """A profile's settings with no larger budget than the environment's: a form names any profile.

    Raises:
        CookbookError: what the environment names is no amount.
    """
    said = _dollars(environment)
    if said is None or settings.judge.budget_usd <= said:
        return settings
    return changed(settings, judge=changed(settings.judge, budget_usd=said))


def _dollars(environment: Mapping[str, str]) -> float | None:
    """The ceiling that the environment names; one that is no amount is told, not left out."""
    said = environment.get(BUDGET_VARIABLE, "").strip()
    if not said:
        return None
    if not re.fullmatch(r"\d+(\.\d+)?", said):
        raise CookbookError(f"{BUDGET_VARIABLE} is dollars such as 20.5; came {said!r}. Mend it.")
    return float(said)


def _places(part: BaseModel) -> Iterator[str]:
    """Names of models, folders of teachers and addresses of clusters, at any depth."""
    match part:
        case BaseModelSettings(source="hub", name=place, revision=revision):
            # Anybody may offer a hub's model a change, whose weights then have a revision there.
            yield place if revision == "main" else f"{place}@{revision}"
        case FurtherTeacherSettings(folder=place):
            yield place
        case ShardSettings(ray_address=str(place)):
            yield place
    for value in dict(part).values():
        for one in value if isinstance(value, list | tuple) else [value]:
            if isinstance(one, BaseModel):
                yield from _places(one)
