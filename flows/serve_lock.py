"""One `cookbook serve` a Prefect home: two would share its database and end each other's runs."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.places import served_store
from tasks.core.store.lock import seen_holder, sole_holder

LOCK = "cookbook-serve.lock"


@contextmanager
def sole_serve(home: Path, address: str) -> Iterator[None]:
    """Hold the Prefect home for one `cookbook serve`; the kernel frees it with the process.

    Raises:
        CookbookError: another one holds it; the message names its process, store and address.
    """
    holder = {"pid": os.getpid(), "address": address, "store": str(served_store())}
    with sole_holder(home / LOCK, holder, lambda raw: _held_message(home, raw)):
        yield


def served_address(home: Path) -> str | None:
    """Where the `cookbook serve` of a Prefect home answers, if one is running."""
    try:
        return f"{json.loads(seen_holder(home / LOCK) or b'')['address']}/api"
    except (ValueError, KeyError, TypeError):
        return None


def _held_message(home: Path, raw: bytes) -> str:
    try:
        holder = json.loads(raw)
        who = f"process {holder['pid']} serves the store {holder['store']} at {holder['address']}"
    except (ValueError, KeyError, TypeError):
        who = "another one is just starting"
    return (
        f"One `cookbook serve` may use the Prefect home {home} at a time, and {who}. End that one, "
        f"or give this one a home and a port of its own: PREFECT_HOME={home}-2 cookbook serve "
        "--port 4201."
    )
