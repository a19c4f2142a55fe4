"""What Prefect's UI offers: each flow with a form, tags, a limit and a plain description."""

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy, State
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron
from prefect.types.entrypoint import EntrypointType

from flows.alarms import told
from flows.approve import approve
from flows.form_limits import check_form
from flows.forms import Help
from flows.intents import intents_in_ui
from flows.label import label
from flows.personalize import personalize
from flows.places import DomainName
from flows.retrain import retrain
from flows.score import score
from flows.serve_options import AS_SHIPPED, NO_SCHEDULE, ServeOptions
from flows.watched import Profile, watched
from tasks.core.errors import CookbookError
from tasks.settings import Settings

USUAL_CRON = {"retrain": "0 2 * * 1", "personalize": "0 4 * * *"}
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
            check_form(settings)
    return watched(profile, domain, settings)


def deployments(options: ServeOptions = AS_SHIPPED) -> list[RunnerDeployment]:
    """All deployments. Runs that write the store exclude each other; a schedule never queues.

    Raises:
        CookbookError: a schedule is none of cron's.
    """
    queue, skip = ConcurrencyLimitStrategy.ENQUEUE, ConcurrencyLimitStrategy.CANCEL_NEW
    made = [
        _deployment(cookbook_in_ui, "cookbook", queue, ["pipeline"]),
        _deployment(retrain, "retrain", skip, ["pipeline", "scheduled"]),
        _deployment(personalize, "personalize", skip, ["personal", "scheduled"]),
        _deployment(label, "label", queue, ["labels"]),
        _deployment(score, "score", queue, ["serving"]),
        _deployment(approve, "approve", queue, ["decision"]),
        _deployment(intents_in_ui, "intents", queue, ["classification"]),
    ]
    for one in made:
        one.parameters = {k: v for k, v in options.form().items() if k in form_fields(one)}
        cron = options.cron(str(one.name)) or USUAL_CRON.get(str(one.name), NO_SCHEDULE)
        one.schedules = [*_schedules(cron, options.timezone or "UTC")]
    return made


def form_fields(deployment: RunnerDeployment) -> dict[str, Any]:
    """The fields of a deployment's form, by their names."""
    fields: dict[str, Any] = deployment._parameter_openapi_schema.properties
    return fields


def _schedules(cron: str, timezone: str) -> list[DeploymentScheduleCreate]:
    if cron == NO_SCHEDULE:
        return []
    try:
        return [DeploymentScheduleCreate.from_schedule(Cron(cron, timezone=timezone))]
    except ValueError:
        raise CookbookError(
            f"A schedule is five fields in cron's words, such as '0 2 * * 1' for Mondays at two, "
            f"or {NO_SCHEDULE}; came {cron!r}. Give another one."
        ) from None


def _deployment(
    of: Any, name: str, strategy: ConcurrencyLimitStrategy, tags: list[str]
) -> RunnerDeployment:
    made = of.to_deployment(
        name=name,
        description=of.description,
        tags=tags,
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=strategy),
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    assert isinstance(made, RunnerDeployment)
    return made
