"""What a run ran on: code, versions, processor. Figures without it cannot be compared."""

import hashlib
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from tasks.core.store.source import PROJECT
from tasks.core.training.precision import best_device, compute_dtype


def environment() -> dict[str, Any]:
    """Commit, versions, processor and number format of this process, for the report."""
    device = best_device()
    return {
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": version("transformers"),
        "prefect": version("prefect"),
        "cpu": _processor(),
        "threads": torch.get_num_threads(),
        "dtype": str(compute_dtype(device)).removeprefix("torch."),
        "gpu": torch.cuda.get_device_name() if device.type == "cuda" else None,
    }


def lock_sha256() -> str:
    """The hash of the versions that the project installs."""
    return hashlib.sha256((PROJECT / "constraints.txt").read_bytes()).hexdigest()


def _commit() -> str | None:
    """The project's commit, marked if files differ from it; None outside a git checkout."""
    try:
        found = subprocess.run(
            ["git", "-C", str(PROJECT), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"
