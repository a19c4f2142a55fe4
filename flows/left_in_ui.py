"""What people changed of a deployment in Prefect's UI outlives a restart of `cookbook serve`."""

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound

from flows.deployments import form_fields
from flows.serve_options import ServeOptions

Schedule = DeploymentSchedule | DeploymentScheduleCreate


def as_left(offered: list[RunnerDeployment], options: ServeOptions) -> list[RunnerDeployment]:
    """The deployments, with what the server has for them where no option says otherwise.

    Prefect's upsert replaces schedules and usual values by those that it is given: what shall
    stay is read first and given back.
    """
    with get_client(sync_client=True) as client:
        for one in offered:
            _take_over(client, one, options)
    return offered


def _take_over(client: SyncPrefectClient, one: RunnerDeployment, options: ServeOptions) -> None:
    try:
        there = client.read_deployment_by_name(f"{one.flow_name}/{one.name}")
    except ObjectNotFound:
        return
    known = form_fields(one)
    kept = {name: value for name, value in there.parameters.items() if name in known}
    one.parameters = {**kept, **one.parameters}
    if options.cron(str(one.name)) is None:
        one.schedules = [_moved(schedule, options.timezone) for schedule in there.schedules]
    elif options.timezone is None:
        zone = next((zone for each in there.schedules if (zone := _zone(each))), None)
        one.schedules = [
            _moved(schedule, zone)
            for schedule in one.schedules or []
            if isinstance(schedule, DeploymentScheduleCreate)
        ]


def _zone(schedule: Schedule) -> str | None:
    return schedule.schedule.timezone if isinstance(schedule.schedule, CronSchedule) else None


def _moved(schedule: Schedule, timezone: str | None) -> DeploymentScheduleCreate:
    """The same schedule, in another time zone where one is given."""
    when = schedule.schedule
    if timezone is not None and isinstance(when, CronSchedule):
        when = CronSchedule(cron=when.cron, timezone=timezone, day_or=when.day_or)
    return DeploymentScheduleCreate(
        schedule=when,
        active=schedule.active,
        parameters=schedule.parameters,
        slug=schedule.slug,
    )
