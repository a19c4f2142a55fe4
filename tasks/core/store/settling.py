"""What the registry keeps of a run's decision about its candidate."""

from typing import Any

from tasks.core.promotion import Decision
from tasks.core.store.registry import Registry
from tasks.core.text import sanitize

# Who decides by figures; everybody else in the log is a person.
MACHINES = ("run", "personalize")


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


def withdrawal(registry: Registry, version: str) -> dict[str, Any] | None:
    """The entry by which a person refused the version or went back from it, if it stands.

    A run that makes the same candidate again must not undo that.
    """
    found = None
    for entry in registry.log():
        person = entry["by"] not in MACHINES
        back = entry["event"] == "promoted" and entry["version"] < version
        if entry["version"] == version:
            if entry["event"] in ("promoted", "rolled_back"):
                found = None
            elif entry["event"] == "refused" and person:
                found = entry
        elif entry["instead_of"] == version and person:
            found = entry if back or entry["event"] == "rolled_back" else found
    return found
