"""Flow: scheduled retraining of what new data touches."""

from prefect import flow
from prefect.client.schemas.objects import State

from flows.places import DomainName
from flows.watched import Hours, Profile, too_late, watched


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
    late = too_late(maximum_lateness_hours)
    return late or watched(profile, domain, None)
