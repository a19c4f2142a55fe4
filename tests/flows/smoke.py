"""A small simulated domain and runs of the smoke profile in processes of their own."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tasks.core.store.files import file_sha256

COOKBOOK = [sys.executable, "-m", "flows.cli"]
PROJECT = Path(__file__).resolve().parents[2]
SCALE = 0.2


def environment(home: Path, **more: str) -> dict[str, str]:
    """This environment with a Prefect of the test's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    home.mkdir(parents=True, exist_ok=True)
    return kept | {"PREFECT_HOME": str(home), "OMP_NUM_THREADS": "1"} | more


def small_domain(root: Path) -> Path:
    """Write a small simulated job_search domain; the same on every call."""
    command = [*COOKBOOK, "simulate", "--root", str(root), "--scale", str(SCALE)]
    subprocess.run(command, check=True, cwd=PROJECT, capture_output=True)
    return root


def run_command(root: Path, store: Path) -> list[str]:
    """The command line of a smoke run."""
    places = ["--root", str(root), "--store", str(store)]
    return [*COOKBOOK, "run", "--profile", "smoke", *places]


def smoke_run(root: Path, store: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run to the end; ``more`` goes to the environment."""
    return subprocess.run(
        run_command(root, store),
        env=environment(root.parent / "prefect", **more),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )


def started_run(root: Path, store: Path, **more: str) -> "subprocess.Popen[str]":
    """A run that goes on; ``more`` goes to the environment."""
    return subprocess.Popen(
        run_command(root, store),
        env=environment(root.parent / "prefect", **more),
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job ignores Ctrl-C, and so would all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def cookbook(folder: Path, *arguments: str, **more: str) -> str:
    """What a command prints that is given in a folder, as a user would; it ends well."""
    command = [*COOKBOOK, *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(folder / "prefect", PYTHONPATH=str(PROJECT), **more),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def half_files(store: Path) -> list[Path]:
    """Files below a store that a writer has not given their name yet."""
    return [path for path in store.rglob("*") if path.is_file() and path.suffix == ".tmp"]


def content_digests(store: Path) -> dict[str, str]:
    """Hash of every file of every finished artifact; files of timings left out."""
    finished = [path.parent for path in store.glob("artifacts/*/*/manifest.json")]
    return {
        path.relative_to(store).as_posix(): file_sha256(path)
        for folder in finished
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(("manifest.json", "measured.json"))
    }


def report_of(store: Path) -> dict[str, Any]:
    """The last finished run's report.json."""
    path = store / "job_search" / "latest" / "report.json"
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return report
