"""A contender's end of a contest: wait for a turn, answer with the seconds it took.

It imports the standard library alone, since it runs in every peer's environment.
"""

import importlib.metadata
import json
import resource
import sys
import time
from typing import Any

MARK = "ANSWER "


def hear() -> dict[str, Any]:
    """The next question; the process ends where there are no more."""
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    question: dict[str, Any] = json.loads(line)
    return question


def answer(**content: Any) -> None:
    print(MARK + json.dumps(content), flush=True)


def versions(*names: str) -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in names}


def peak_mb() -> float:
    """The most memory that this process ever held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Turns:
    """One turn is what happens between ``begin`` and ``end``."""

    def begin(self) -> None:
        hear()
        self.started, self.cpu_started = time.perf_counter(), time.process_time()

    def end(self, **content: Any) -> None:
        took, cpu = time.perf_counter() - self.started, time.process_time() - self.cpu_started
        answer(seconds=took, cpu_seconds=cpu, peak_mb=peak_mb(), **content)
