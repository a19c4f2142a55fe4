"""Flow: judge and labels alone."""

from prefect import flow
from prefect.client.schemas.objects import State

from flows.places import DomainName
from flows.watched import Profile, watched


@flow(name="label", persist_result=False)
def label(profile: Profile = "laptop", domain: DomainName = "job_search") -> State[None]:
    """Check the judge against golden grades, then label pairs; stops before any training."""
    return watched(profile, domain, None, until="label")
