"""Flow: the daily refresh of the random effects."""

from prefect import flow
from prefect.client.schemas.objects import State

from flows.places import DomainName
from flows.watched import Hours, Profile, too_late, watched


@flow(name="personalize", persist_result=False)
def personalize(
    profile: Profile = "laptop",
    domain: DomainName = "job_search",
    maximum_lateness_hours: Hours = 12.0,
) -> State[None]:
    """Bring the effects per member and per job up to date with new impressions."""
    late = too_late(maximum_lateness_hours)
    return late or watched(profile, domain, None, until="personalize")
