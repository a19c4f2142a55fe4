"""What Prefect's UI offers: each flow with a form, tags, a limit and a plain description.

The pipeline's own flow runs inside these, with its steps as their tasks: they add artifacts to
look at, and take folders from the server's environment instead of from a form.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any

from prefect import flow, runtime
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy, State
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron
from prefect.states import Cancelled, Completed
from prefect.types.entrypoint import EntrypointType
from pydantic import Field

from flows.approve import approve
from flows.cookbook import ProfileName, cookbook
from flows.places import DomainName, ends_with_parent, lateness_s, served_root, served_store
from flows.score import score
from flows.ui_artifacts import UiProgress, show_failure, show_report
from tasks.core.errors import CookbookError
from tasks.core.report.terminal import verdict_line
from tasks.run import listening
from tasks.settings import Settings

Profile = Annotated[
    ProfileName,
    Field(description="How large a run: smoke takes seconds and proves nothing, laptop minutes."),
]
ChosenSettings = Annotated[
    Settings | None,
    Field(description="Every setting by hand, instead of the profile's; leave at None otherwise."),
]
Hours = Annotated[float, Field(gt=0, le=168, description="A start later than this is skipped.")]


@flow(name="cookbook", persist_result=False)
def cookbook_in_ui(
    profile: Profile = "laptop",
    domain: DomainName = "job_search",
    settings: ChosenSettings = None,
) -> State[None]:
    """Turn the policy, golden grades and click log into a small ranker; promote or refuse it.

    What an earlier run made from the same inputs is used again. `settings`, if given, replaces
    the profile's.
    """
    return _watched(profile, domain, settings)


@flow(name="retrain", persist_result=False)
def retrain(
    profile: Profile = "laptop",
    domain: DomainName = "job_search",
    maximum_lateness_hours: Hours = 12.0,
) -> State[None]:
    """Take in what is new (impressions, golden rows, policy), retrain what depends on it.

    The result is compared with the model in service on the gate queries, then promoted,
    refused, or left waiting for `approve`.
    """
    late = _too_late(maximum_lateness_hours)
    return late or _watched(profile, domain, None)


@flow(name="label", persist_result=False)
def label(profile: Profile = "laptop", domain: DomainName = "job_search") -> State[None]:
    """Check the judge against golden grades, then label pairs; stops before any training."""
    return _watched(profile, domain, None, until="label")


@flow(name="personalize", persist_result=False)
def personalize(
    profile: Profile = "laptop",
    domain: DomainName = "job_search",
    maximum_lateness_hours: Hours = 12.0,
) -> State[None]:
    """Bring the effects per member and per job up to date with new impressions."""
    late = _too_late(maximum_lateness_hours)
    return late or _watched(profile, domain, None, until="personalize")


def deployments() -> list[RunnerDeployment]:
    """All deployments. Runs that write the store exclude each other; a schedule never queues."""
    queue, skip = ConcurrencyLimitStrategy.ENQUEUE, ConcurrencyLimitStrategy.CANCEL_NEW
    weekly, daily = "0 2 * * 1", "0 4 * * *"
    return [
        _deployment(cookbook_in_ui, "cookbook", queue, ["pipeline"]),
        _deployment(retrain, "retrain", skip, ["pipeline", "scheduled"], cron=weekly),
        _deployment(personalize, "personalize", skip, ["personal", "scheduled"], cron=daily),
        _deployment(label, "label", queue, ["labels"]),
        _deployment(score, "score", queue, ["serving"]),
        _deployment(approve, "approve", queue, ["decision"]),
    ]


def _deployment(
    of: Any, name: str, strategy: ConcurrencyLimitStrategy, tags: list[str], cron: str | None = None
) -> RunnerDeployment:
    made = of.to_deployment(
        name=name,
        description=of.description,
        tags=tags,
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=strategy),
        schedule=Cron(cron, timezone="UTC") if cron else None,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    assert isinstance(made, RunnerDeployment)
    return made


def _watched(
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


def _too_late(maximum_hours: float) -> State[None] | None:
    """A cancelled state where the scheduled start is long past, so that missed runs do not pile up.

    Source: Prefect runs every late one, oldest first (issue 15886).
    """
    scheduled: datetime | None = runtime.flow_run.scheduled_start_time
    late = timedelta(seconds=lateness_s(scheduled.timestamp()) if scheduled else 0)
    if late <= timedelta(hours=maximum_hours):
        return None
    show_failure(f"It was due at {scheduled}, more than {maximum_hours:g} hours ago.")
    return Cancelled(message=f"Skipped: {late} late; the next scheduled run takes everything in.")
