"""What the registry keeps of a run's decision about its candidate."""

from tasks.core.promotion import Decision
from tasks.core.store.registry import Registry
from tasks.core.store.withdrawal import withdrawal
from tasks.core.text import sanitize


def settle(
    registry: Registry,
    version: str,
    decision: Decision,
    reasons: list[str],
    *,
    compared_with: str | None,
    by: str,
) -> tuple[Decision, list[str]]:
    """Promote, refuse or let wait, as the figures decided; returns what came of it, and why.

    A person's word stands above the figures: a candidate that a person refused, or went back
    from, and that a run makes again, stays out until a person promotes it. And the figures speak
    of ``compared_with`` alone: where another version came into service while they were computed,
    by a person or by a rollback, the candidate does not take its place.
    """
    # Held from the look at what serves to the pointer: what came between would be overwritten.
    with registry.writing():
        if decision != "refused" and (reason := _stays_out(registry, version, compared_with)):
            decision, reasons = "refused", [reason]
        if decision == "promoted":
            registry.promote(version, reason=" ".join(reasons), by=by)
        elif decision == "waiting":
            registry.offer(version, reason=" ".join(reasons), by=by)
        elif version in registry.undecided():
            registry.refuse(version, reason=" ".join(reasons), by=by)
        return decision, reasons


def _stays_out(registry: Registry, version: str, compared_with: str | None) -> str | None:
    """Why a candidate whose figures pass does not serve all the same, if so."""
    withdrawn, served = withdrawal(registry, version), registry.served_version()
    if withdrawn is not None:
        return (
            f"{version} was taken out by {sanitize(withdrawn['by'])} on {withdrawn['at'][:10]}: "
            f"{sanitize(withdrawn['reason'])}. A run does not put it back; "
            f"`cookbook models promote {version}` does."
        )
    if served not in (compared_with, version):
        return (
            f"{version} was compared with {compared_with or 'no model'}, and meanwhile "
            f"{served or 'none'} came into service. Run again to compare it with that one."
        )
    return None
