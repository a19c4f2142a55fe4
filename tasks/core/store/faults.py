"""Named points at which a test may kill this process, as a power cut would.

Only the environment variable COOKBOOK_FAULT arms them. A point costs one dictionary look-up.
COOKBOOK_FAULT_SIGNAL names a signal other than SIGKILL: SIGTERM asks the process to end there,
SIGSTOP holds it there while a test fills its disk.
"""

import os
import signal

_seen: dict[str, int] = {}


def fault_point(name: str) -> None:
    """Get the signal here if COOKBOOK_FAULT is ``name`` or ``name:k`` (the k-th passing)."""
    armed = os.environ.get("COOKBOOK_FAULT")
    if armed is None:
        return
    _seen[name] = _seen.get(name, 0) + 1
    # Names hold colons themselves, so only a last part that is a number is a count.
    head, _, last = armed.rpartition(":")
    wanted, count = (head, int(last)) if head and last.isdigit() else (armed, 1)
    if wanted == name and _seen[name] == count:
        chosen = os.environ.get("COOKBOOK_FAULT_SIGNAL", signal.SIGKILL.name)
        os.kill(os.getpid(), signal.Signals[chosen])
