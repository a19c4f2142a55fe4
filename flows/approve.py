"""Flow: a person promotes or refuses a candidate that waits."""

from datetime import timedelta
from typing import Annotated, Literal

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field, StringConstraints

from flows.alarms import tell
from flows.forms import Help
from flows.places import DomainName, served_store
from flows.report_links import reports
from flows.ui_artifacts import LONGEST_REASON, if_the_server_answers, show_failure
from tasks.core.domain.paths import valid_name
from tasks.core.errors import CookbookError
from tasks.core.report.markdown import escape
from tasks.core.store.registry import MAXIMUM_AGE, Registry

Version = Annotated[
    str,
    Field(pattern=r"^v[0-9]{4,9}$"),
    Help(
        "The candidate, such as v0002. The run that made it has an artifact `approval`: links to "
        "both reports, and to this form with the version filled in."
    ),
]
Decision = Annotated[
    Literal["promote", "refuse"],
    Help("promote: it serves from the next request on; refuse: it stays on record."),
]
Reason = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=3, max_length=1000),
    Help("Why, in 3 to 1000 characters; it is kept in the log."),
]
Age = Annotated[
    int,
    Field(ge=1, le=MAXIMUM_AGE.days),
    Help(f"In days, 1 to {MAXIMUM_AGE.days}: a candidate older than this is not promoted."),
]


@flow(name="approve", persist_result=False)
def approve(
    version: Version,
    decision: Decision,
    reason: Reason,
    domain: DomainName = "job_search",
    maximum_age_days: Age = MAXIMUM_AGE.days,
) -> State[None]:
    """Promote or refuse a candidate.

    It must wait for a decision, be recent, and have been compared with the model that is in
    service now. The decision holds from the next request on; `models rollback` undoes it.
    """
    try:
        registry = Registry(served_store() / valid_name(domain, "domain") / "registry")
        before = registry.served_version()
        if decision == "promote":
            age = timedelta(days=maximum_age_days)
            registry.approve(version, reason=reason, by="approve flow", maximum_age=age)
        else:
            registry.refuse(version, reason=reason, by="approve flow")
    except CookbookError as error:
        show_failure(str(error))
        raise
    in_service = registry.served_version() or "none"
    compared = reports(domain, registry, version, before)
    decided: Literal["promoted", "refused"] = "promoted" if decision == "promote" else "refused"
    with if_the_server_answers():  # the decision holds, shown or not
        create_markdown_artifact(
            f"**{version} is {decided}.** {escape(reason, longest=LONGEST_REASON)}"
            f"\n\nIn service: {in_service}."
            f"\n\n{compared}",
            key="decision",
            description="What was decided, and why",
        )
    tell(decided, domain, f"{version}: {reason}")
    return Completed(message=f"{version} is {decided}. In service: {in_service}.")
