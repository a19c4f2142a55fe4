"""What `cookbook serve` may be told of its schedules and forms; read without loading Prefect."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from zoneinfo import available_timezones

from cyclopts import Parameter

from tasks.core.errors import CookbookError

NO_SCHEDULE = "none"
USUAL_DOMAIN = "job_search"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Each field is an option; None leaves to the UI what it shows."""

    domain: Annotated[
        str | None,
        Parameter(
            help="Domain of the schedules, and what forms begin with. As it was; at first "
            "job_search."
        ),
    ] = None
    profile: Annotated[
        str | None,
        Parameter(
            help="Profile of the schedules, and what forms begin with. As it was; at first laptop."
        ),
    ] = None
    timezone: Annotated[
        str | None,
        Parameter(help="Of the schedules, such as Europe/Berlin. As it was; at first UTC."),
    ] = None
    retrain_cron: Annotated[
        str | None,
        Parameter(
            help="When to retrain, in cron's words, or none. As it was; at first '0 2 * * 1'."
        ),
    ] = None
    personalize_cron: Annotated[
        str | None,
        Parameter(
            help="When to personalize, in cron's words, or none. As it was; at first '0 4 * * *'."
        ),
    ] = None

    def check(self, root: Path) -> None:
        """See that domain, profile and time zone are there.

        Raises:
            CookbookError: one of them is not.
        """
        from flows.profiles import profile
        from tasks.core.domain.paths import find_domain

        if self.domain is not None:
            find_domain(self.domain, root)
        if self.profile is not None:
            profile(self.profile)
        if self.timezone is not None and self.timezone not in available_timezones():
            raise CookbookError(
                f"A time zone has a name such as Europe/Berlin or UTC; came {self.timezone!r}. "
                "Give --timezone another one."
            )

    def cron(self, deployment: str) -> str | None:
        """What was given for a deployment's schedule, if anything."""
        given = {"retrain": self.retrain_cron, "personalize": self.personalize_cron}
        return given.get(deployment)

    def form(self) -> dict[str, str]:
        """What forms begin with, as far as it was given."""
        given = {"domain": self.domain, "profile": self.profile}
        return {name: value for name, value in given.items() if value is not None}


# Commands and flows take it as their default: it is frozen, so that one may serve them all.
AS_SHIPPED = ServeOptions()
