"""The pipeline as Prefect starts it: its steps as the run's tasks, artifacts to look at, a verdict.

It takes folders from the server's environment instead of from a form.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any

from prefect import runtime
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed
from pydantic import Field

from flows.cookbook import ProfileName, cookbook
from flows.places import ends_with_parent, lateness_s, served_root, served_store
from flows.ui_artifacts import UiProgress, show_failure, show_report
from tasks.core.errors import CookbookError
from tasks.core.report.terminal import verdict_line
from tasks.run import listening
from tasks.settings import Settings

Profile = Annotated[
    ProfileName,
    Field(description="How large a run: smoke takes seconds and proves nothing, laptop minutes."),
]
Hours = Annotated[float, Field(gt=0, le=168, description="A start later than this is skipped.")]


def watched(
    profile: ProfileName, domain: str, settings: Settings | None, until: str | None = None
) -> State[None]:
    """Run the pipeline with its steps as this flow's tasks; the state says the verdict."""
    progress = UiProgress()
    part: dict[str, Any] = {} if until is None else {"until": until}
    try:
        with ends_with_parent(), listening(progress):
            report = cookbook.fn(settings, profile, domain, served_root(), served_store(), **part)
    except CookbookError as error:
        show_failure(str(error))
        raise
    if until is not None:
        return Completed(message=f"Finished as far as {until}.")
    show_report(report, domain, progress.stages)
    return Completed(message=verdict_line(report))


def too_late(maximum_hours: float) -> State[None] | None:
    """A cancelled state where the scheduled start is long past, so that missed runs do not pile up.

    Source: Prefect runs every late one, oldest first (issue 15886).
    """
    scheduled: datetime | None = runtime.flow_run.scheduled_start_time
    late = timedelta(seconds=lateness_s(scheduled.timestamp()) if scheduled else 0)
    if late <= timedelta(hours=maximum_hours):
        return None
    show_failure(f"It was due at {scheduled}, more than {maximum_hours:g} hours ago.")
    return Cancelled(message=f"Skipped: {late} late; the next scheduled run takes everything in.")
