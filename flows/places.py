"""Where flows that Prefect starts read and write.

The folders come from `cookbook serve` through the environment and are no parameters: whoever
reaches the UI chooses what runs, never which files it touches.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from pydantic import Field

from flows.forms import Help

ROOT_VARIABLE, STORE_VARIABLE = "COOKBOOK_ROOT", "COOKBOOK_STORE"
REPORTS_VARIABLE = "COOKBOOK_REPORTS"
SERVER_PID_VARIABLE = "COOKBOOK_SERVE_PID"
PROJECT = Path(__file__).resolve().parents[1]

DomainName = Annotated[
    str,
    Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$"),
    Help("The domain: the name of a folder below policy/ and golden_data/."),
]


def served_root() -> Path:
    """Folder that holds policy/ and golden_data/."""
    return Path(os.environ.get(ROOT_VARIABLE, PROJECT))


def served_store() -> Path:
    """Folder of artifacts, models and reports."""
    return Path(os.environ.get(STORE_VARIABLE, PROJECT / "runs"))


@contextmanager
def ends_with_parent() -> Iterator[None]:
    """End this process when the one that started it is gone: a killed server leaves no run.

    A server says its number itself: one killed while this process began is not its parent by now.
    """
    parent = int(os.environ.get(SERVER_PID_VARIABLE, os.getppid()))
    done = threading.Event()

    def watch() -> None:
        while not done.wait(1.0):
            if os.getppid() != parent:
                os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def lateness_s(scheduled: float) -> float:
    """Seconds since a scheduled start (seconds since 1970); not negative if the clock jumped."""
    return max(0.0, time.time() - scheduled)
