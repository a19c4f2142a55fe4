"""What the registry keeps of a run's decision about its candidate."""

from tasks.core.promotion import Decision
from tasks.core.store.registry import Registry
from tasks.core.store.withdrawal import withdrawal
from tasks.core.text import sanitize


def settle(
    registry: Registry, version: str, decision: Decision, reasons: list[str], *, by: str
) -> tuple[Decision, list[str]]:
    """Promote, refuse or let wait, as the figures decided; returns what came of it, and why.

    A person's word stands above the figures: a candidate that a person refused, or went back
    from, and that a run makes again, stays out until a person promotes it.
    """
    withdrawn = withdrawal(registry, version)
    if withdrawn is not None and decision != "refused":
        reasons = [
            f"{version} was taken out by {sanitize(withdrawn['by'])} on {withdrawn['at'][:10]}: "
            f"{sanitize(withdrawn['reason'])}. A run does not put it back; "
            f"`cookbook models promote {version}` does."
        ]
        return "refused", reasons
    reason = " ".join(reasons)
    if decision == "promoted":
        registry.promote(version, reason=reason, by=by)
    elif decision == "waiting":
        registry.offer(version, reason=reason, by=by)
    elif version in registry.waiting():
        registry.refuse(version, reason=reason, by=by)
    return decision, reasons
