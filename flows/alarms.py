"""What happens to a domain's model, as Prefect events: an automation turns them into messages."""

from typing import Literal

from prefect.events import emit_event

Kind = Literal["promoted", "refused", "waiting", "run-stopped", "drift", "scheduled-run-skipped"]


def tell(kind: Kind, domain: str, message: str) -> None:
    """Emit ``cookbook.KIND`` about the domain; holds no text of a member or a document."""
    emit_event(
        event=f"cookbook.{kind}",
        resource={"prefect.resource.id": f"cookbook.domain.{domain}", "cookbook.domain": domain},
        payload={"message": message},
    )
