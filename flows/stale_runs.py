"""Runs that Prefect shows as running although their process is gone, and how they are closed.

``python -m flows.stale_runs`` ships the automation to a server other than ``cookbook serve``'s.
"""

from datetime import timedelta
from typing import Any

from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import State, StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.states import Crashed

from flows.deployments import deployments

# Longer than the four minutes for which a run sits out a server or database that is away (see
# local_server.QUIET): nobody hears its heartbeats meanwhile, and a run that is marked as crashed
# loses its slot, for which Prefect ends it.
SILENCE = timedelta(minutes=5)
AT_WORK = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
AUTOMATION = "A run that went silent has crashed"


def watch_for_silence() -> None:
    """Ship the automation that marks a run as crashed when its heartbeat stops; once a server.

    One that an earlier version shipped, and nobody changed, gets the patience of this one.

    Source: Prefect's documentation on detecting zombie flows. The resource is any flow run, since
    a run may end in a state of any name.
    """
    ours = _silence_automation()
    try:
        there = Automation.read(name=AUTOMATION)
    except ValueError:
        ours.create()
        return
    # Outside an event loop this is no coroutine, whatever its type says.
    assert isinstance(there, Automation)
    within = there.trigger.within if isinstance(there.trigger, EventTrigger) else SILENCE
    if within != SILENCE and there.description == _told(within):
        there.trigger, there.description = ours.trigger, ours.description
        there.update()


def _told(within: timedelta) -> str:
    return f"No heartbeat for {within.seconds} s: the process was killed."


def _silence_automation() -> Automation:
    ends = ("Completed", "Failed", "Cancelled", "Crashed")
    beat = "prefect.flow-run.heartbeat"
    return Automation(
        name=AUTOMATION,
        description=_told(SILENCE),
        trigger=EventTrigger(
            after={beat},
            expect={beat, *(f"prefect.flow-run.{end}" for end in ends)},
            match={"prefect.resource.id": ["prefect.flow-run.*"]},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=SILENCE,
        ),
        actions=[
            ChangeFlowRunState(
                name=None,
                force=False,
                state=StateType.CRASHED,
                message="No heartbeat: its process is gone. What it finished is kept; run again.",
            )
        ],
    )


def close_runs_of_an_earlier_serve() -> list[str]:
    """Mark as crashed what an earlier `cookbook serve` left running; returns the runs' names.

    Only one serves a Prefect home (flows/serve_lock.py), and runs end with it, so whatever it
    started is gone. Runs of work pools are their workers', those of other deployments somebody
    else's: both are left alone.
    """
    offered = deployments()
    at_work = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(is_null_=False),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=AT_WORK)),
    )
    ours = DeploymentFilter(name=DeploymentFilterName(any_=[str(one.name) for one in offered]))
    of = FlowFilter(name=FlowFilterName(any_=[str(one.flow_name) for one in offered]))
    gone: State[Any] = Crashed(message="`cookbook serve` ended while it ran. Run it again.")
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(
            flow_run_filter=at_work, deployment_filter=ours, flow_filter=of
        )
        runs = [one for one in found if not one.work_pool_id]
        for one in runs:
            client.set_flow_run_state(one.id, gone, force=True)
    return [one.name for one in runs]


if __name__ == "__main__":
    watch_for_silence()
