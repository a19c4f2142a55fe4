"""What Prefect's UI offers: each flow with a form, tags, a limit and a plain description."""

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy, State
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron
from prefect.types.entrypoint import EntrypointType

from flows.alarms import told
from flows.approve import approve
from flows.form_limits import check_places
from flows.forms import Help
from flows.intents import intents_in_ui
from flows.label import label
from flows.personalize import personalize
from flows.places import DomainName
from flows.retrain import retrain
from flows.score import score
from flows.watched import Profile, watched
from tasks.settings import Settings

ChosenSettings = Annotated[
    Settings | None,
    Help("Every setting by hand, instead of the profile's; leave at None otherwise."),
]


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
    if settings is not None:
        with told(domain):
            check_places(settings)
    return watched(profile, domain, settings)


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
        _deployment(intents_in_ui, "intents", queue, ["classification"]),
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
