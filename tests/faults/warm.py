"""A warm process whose children are commands, killed at a numbered access to a folder.

Imports take seconds, and a sweep kills hundreds of commands: each is a fork of one process that
imported everything. ``python -m tests.faults.warm`` reads an order a line and says how it ended.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.flows.smoke import PROJECT, environment

# Python announces each before it happens: whatever changes a folder passes one of them.
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "os.chmod"}


class Warm:
    """Runs commands; ``at`` kills one just before its at-th access to ``below``."""

    def __init__(self, home: Path, **more: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.warm"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(home, **more),
            cwd=PROJECT,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self._process.communicate()

    def run(self, command: list[str], below: Path, at: int = 0) -> tuple[int, str]:
        """The command's exit code, negative for a signal, and what it said."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"command": command, "below": str(below.resolve()), "at": at}
        print(json.dumps(order), file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline())
        return answer["code"], answer["said"]


def main() -> None:
    """Read orders until standard input ends."""
    import tasks.core.forgetting
    import tasks.core.store.retention  # noqa: F401
    from flows import cli

    cli.keep_libraries_quiet()
    if "PREFECT_API_URL" in os.environ:
        import flows.approve  # noqa: F401

    for line in sys.stdin:
        order = json.loads(line)
        said = os.memfd_create("said")
        if (child := os.fork()) == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(said, 1)
            os.dup2(said, 2)
            _obey(**order)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        text = os.pread(said, os.fstat(said).st_size, 0).decode()
        os.close(said)
        print(json.dumps({"code": code, "said": text}), flush=True)


def _obey(command: list[str], below: str, at: int) -> None:
    from flows.cli import main as cookbook

    code = 1
    others: dict[str, Callable[..., None]] = {"restore": _restore, "approve": _approve}
    try:
        sys.addaudithook(_killer(below, at))
        if command[0] in others:
            others[command[0]](*command[1:])
        else:
            cookbook(command)
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _restore(registry: str, files: str, weights: str) -> None:
    """What a run does that makes a version again whose files are damaged."""
    from tasks.core.store.registry import Registry

    Registry(Path(registry)).register({"scorer": Path(files)}, {"weights": weights})


def _approve(store: str, domain: str, version: str, decision: Any) -> None:
    """What a person orders in the form of `approve`."""
    from flows.approve import approve
    from flows.local_server import hide_run_logs
    from flows.places import STORE_VARIABLE

    hide_run_logs()
    os.environ[STORE_VARIABLE] = store
    approve(version, decision, "looked at by hand", domain)


def _killer(below: str, at: int) -> Any:
    seen = 0

    def hook(event: str, details: tuple[Any, ...]) -> None:
        nonlocal seen
        if event in CHANGES or (event == "open" and _may_write(*details[1:])):
            descriptor = details[-1] if event in ("os.remove", "os.rmdir", "os.mkdir") else -1
            seen += _path(details[0], descriptor).startswith(below)
            if seen == at:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook


def _may_write(mode: str | None, flags: int) -> bool:
    """Opened to be written; or by os.open, as a folder is just after a name in it changed."""
    return mode is None or bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _path(given: Any, folder: int) -> str:
    if isinstance(given, int):
        return ""
    name = os.fsdecode(given)
    return os.path.join(
        os.readlink(f"/proc/self/fd/{folder}") if folder >= 0 else os.getcwd(), name
    )


if __name__ == "__main__":
    main()
