"""Flow: scheduled retraining of what new data touches."""

from typing import Annotated, Literal

from prefect import flow
from prefect.client.schemas.objects import State

from flows.forms import Help
from flows.places import DomainName
from flows.profiles import changed
from flows.profiles import profile as settings_of
from flows.watched import Hours, Profile, too_late, watched

MustGain = Annotated[
    bool,
    Help("Promote only what is better on the whole, not what merely does not lose."),
]
Approval = Annotated[
    Literal["as in the profile", "required"],
    Help("required: whatever passes the gates waits until a person runs `approve`."),
]


@flow(name="retrain", persist_result=False)
def retrain(
    profile: Profile = "laptop",
    domain: DomainName = "job_search",
    must_gain: MustGain = True,
    approval: Approval = "as in the profile",
    maximum_lateness_hours: Hours = 744.0,
) -> State[None]:
    """Take in what is new (impressions, golden rows, policy), retrain what depends on it.

    The result is compared with the model in service on the gate queries, over all and by kind of
    query, then promoted, refused, or left waiting for `approve`.
    """
    if late := too_late(maximum_lateness_hours):
        return late
    settings = settings_of(profile)
    gates = changed(settings.promotion, require_gain=must_gain)
    if approval == "required":
        gates = changed(gates, approval="required")
    return watched(profile, domain, changed(settings, promotion=gates))
