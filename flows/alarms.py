"""What happens to a domain's model, as Prefect events: an automation turns them into messages."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from prefect.events import emit_event

from flows.report_links import show_choice
from flows.stop_reasons import stop_reason
from flows.ui_artifacts import show_failure

Decided = Literal["promoted", "refused", "waiting"]
Kind = Decided | Literal["run-stopped", "drift", "drift-not-measured", "scheduled-run-skipped"]


def tell(kind: Kind, domain: str, message: str) -> None:
    """Emit ``cookbook.KIND`` about the domain; holds no text of a member or a document."""
    emit_event(
        event=f"cookbook.{kind}",
        resource={"prefect.resource.id": f"cookbook.domain.{domain}", "cookbook.domain": domain},
        payload={"message": message},
    )


def tell_decision(decision: Decided, domain: str, version: str, message: str) -> None:
    """Tell what became of a candidate, and show whoever must decide what to read and fill in."""
    if decision == "waiting":
        show_choice(domain, version)
    tell(decision, domain, message)


@contextmanager
def told(domain: str) -> Iterator[None]:
    """Whatever ends the block early stands on the run's page and is an event; then it goes on.

    Not only the mistakes that this project knows: a full disk or a defect at four in the morning
    is what somebody must hear of.
    """
    try:
        yield
    except Exception as error:
        reason = stop_reason(error)
        show_failure(reason)
        tell("run-stopped", domain, reason)
        raise
