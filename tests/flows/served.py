"""`cookbook serve` in a process of its own, and Prefect's API as tests ask it."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from flows.deployments import deployments
from tests.flows.smoke import COOKBOOK, PROJECT, environment

OFFERED = len(deployments())
ENDED = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]


@dataclass
class Served:
    """A served domain; ``start`` may be called again after a kill."""

    root: Path
    folder: Path
    port: int = 0
    reports: str = ""
    process: "subprocess.Popen[str] | None" = None
    said: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def store(self) -> Path:
        return self.folder / "runs"

    def start(self) -> None:
        """Start it and wait until it says where it is."""
        if not self.port:
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.port = free.getsockname()[1]
        places = ["--port", str(self.port), "--root", str(self.root), "--store", str(self.store)]
        self.process = subprocess.Popen(
            [*COOKBOOK, "serve", *places],
            env=environment(self.folder / "prefect"),
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.said = []
        for line in iter(self.process.stdout.readline, ""):
            self.said.append(line)
            if line.startswith("Reports:"):
                self.reports = line.split()[1]
            if line.startswith("Ctrl-C"):
                break
        wait_for(600, "all deployments", lambda: self.api("/deployments/count", {}) == OFFERED)

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.communicate(timeout=120)

    def kill(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def api(self, path: str, query: dict[str, Any]) -> Any:
        """An answer of Prefect's API; a server that is too busy (503) is asked again."""
        request = urllib.request.Request(
            f"{self.address}/api{path}",
            json.dumps(query).encode(),
            {"Content-Type": "application/json"},
        )
        for attempt in range(60):
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code != 503 or attempt == 59:
                    raise
                time.sleep(2)
        raise AssertionError("the loop returns or raises")

    def deployment(self, name: str) -> str:
        named = {"deployments": {"name": {"any_": [name]}}}
        return str(self.api("/deployments/filter", named)[0]["id"])

    def order(self, name: str, at: datetime | None = None, **parameters: Any) -> str:
        """Ask for a run of a deployment; ``at``: when it was due."""
        state: dict[str, Any] = {"type": "SCHEDULED"}
        state["state_details"] = {"scheduled_time": (at or datetime.now(UTC)).isoformat()}
        query = {"state": state, "parameters": parameters}
        path = f"/deployments/{self.deployment(name)}/create_flow_run"
        return str(self.api(path, query)["id"])

    def run(self, run: str) -> Any:
        return self.api("/flow_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})[0]

    def ended(self, run: str, seconds: float = 900) -> Any:
        """The run, once it has ended."""
        return wait_for(
            seconds,
            f"the end of run {run}",
            lambda: found if (found := self.run(run))["state_type"] in ENDED else None,
        )

    def started(self, run: str, seconds: float = 300) -> Any:
        """The run, once its process is at work."""
        return wait_for(
            seconds,
            f"the start of run {run}",
            lambda: found if (found := self.run(run))["state_type"] == "RUNNING" else None,
        )

    def cancel(self, run: str) -> None:
        self.api(f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})


def wait_for(seconds: float, what: str, found: Callable[[], Any]) -> Any:
    """The first true thing found, looked for twice a second; a slow server is asked again."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(TimeoutError):
            if result := found():
                return result
        time.sleep(0.5)
    pytest.fail(f"{what} did not come within {seconds:g} s")
