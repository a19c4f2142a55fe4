"""Whether a person took a version out of service, and why."""

from typing import Any

from tasks.core.store.registry import Registry

# Who decides by figures, or copies what serves; everybody else in the log is a person.
MACHINES = ("run", "personalize", "forget")


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
