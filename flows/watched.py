"""The pipeline as Prefect starts it: its steps as the run's tasks, artifacts to look at, a verdict.

It takes folders from the server's environment instead of from a form.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any

from prefect import runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import State, StateType
from prefect.context import FlowRunContext
from prefect.states import Cancelled, Completed
from prefect.utilities.callables import get_parameter_defaults
from pydantic import Field

from flows.alarms import tell, tell_decision, told
from flows.cookbook import ProfileName, cookbook
from flows.form_limits import within_ceiling
from flows.forms import Help
from flows.places import ends_with_parent, lateness_s, served_root, served_store
from flows.profiles import profile as settings_of
from flows.ui_artifacts import UiProgress, show_failure, show_report
from tasks.core.report.terminal import verdict_line
from tasks.run import listening
from tasks.settings import Settings

Profile = Annotated[
    ProfileName,
    Help(
        "How large a run: smoke takes seconds and proves nothing, laptop minutes on two cores; "
        "single_gpu and linkedin need GPUs and an LLM."
    ),
]
Hours = Annotated[
    float,
    Field(gt=0, le=744),
    Help("In hours, above 0 and up to 744 (a month): a start later than this is skipped."),
]


def watched(
    profile: ProfileName, domain: str, settings: Settings | None, until: str | None = None
) -> State[None]:
    """Run the pipeline with its steps as this flow's tasks; the state says the verdict."""
    progress = UiProgress()
    part: dict[str, Any] = {} if until is None else {"until": until}
    with told(domain):
        with ends_with_parent(), listening(progress):
            s = within_ceiling(settings or settings_of(profile))
            report = cookbook.fn(s, profile, domain, served_root(), served_store(), **part)
        if until is not None:
            return Completed(message=f"Finished as far as {until}.")
        show_report(report, domain, progress.stages)
        promotion, verdict = report["promotion"], verdict_line(report)
        if _is_news(promotion):
            tell_decision(promotion["decision"], domain, promotion["version"], verdict)
        return Completed(message=verdict)


def _is_news(promotion: dict[str, Any]) -> bool:
    """Whether to tell it: a retrain that made the model in service again promoted nothing."""
    return promotion["decision"] != "promoted" or bool(promotion["changed"])


def too_late(maximum_hours: float) -> State[None] | None:
    """A cancelled state for a start that makes no sense any more; None where it does.

    Of the starts missed while nothing was served, one makes up for all: a run that starts after
    another was due takes in all that the other would have.

    Source: Prefect runs every late one, oldest first (issue 15886).
    """
    scheduled: datetime | None = runtime.flow_run.scheduled_start_time
    if scheduled is None:
        return None
    late = timedelta(seconds=lateness_s(scheduled.timestamp()))
    if late > timedelta(hours=maximum_hours):
        reason = f"It was due at {scheduled:%Y-%m-%d %H:%M %Z}, over {maximum_hours:g} hours ago."
    elif made_up := _started_since(scheduled):
        reason = (
            f"It was due at {scheduled:%Y-%m-%d %H:%M %Z}; {made_up} started after that and took "
            "everything in."
        )
    else:
        return None
    show_failure(reason)
    tell("scheduled-run-skipped", str(runtime.flow_run.parameters.get("domain")), reason)
    return Cancelled(message=f"Skipped. {reason}")


def _started_since(scheduled: datetime) -> str | None:
    """The name of a run that started after the time, was asked to do the same, and completed."""
    if runtime.deployment.id is None:
        return None
    completed = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[runtime.deployment.id]),
        start_time=FlowRunFilterStartTime(after_=scheduled),  # type: ignore[arg-type]
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.COMPLETED])),
    )
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(flow_run_filter=completed)
    own = _work(runtime.flow_run.parameters)
    return next((one.name for one in found if _work(one.parameters) == own), None)


def _work(parameters: dict[str, Any]) -> dict[str, Any]:
    """What a run of this flow was asked to do: domain, profile and the like, defaults included.

    The server keeps only what was given: another domain's run made up for nothing of this one's.
    """
    context = FlowRunContext.get()
    usual = get_parameter_defaults(context.flow.fn) if context and context.flow else {}
    asked = {**usual, **parameters}
    asked.pop("maximum_lateness_hours", None)  # says when to run, not what
    return asked
