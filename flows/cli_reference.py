"""Writes docs/cli.md from the commands' own help (`make docs`)."""

import io
from collections.abc import Iterator

from cyclopts import App
from rich.console import Console

from flows.cli import app

WIDTH = 88
INTRODUCTION = """\
# Command line

Written by `make docs` from the commands' own help; a test holds it to that.

A user's mistake is one sentence on stderr and exit code 2; an interrupted command ends with 130.
Commands that run a part of the pipeline show progress, find again what an earlier run made from
the same inputs, and go on where a killed one stopped: run the same command again.
"""


def reference() -> str:
    """The page: the overview, then each command's help."""
    parts = [INTRODUCTION, _block(app, [])]
    for name, command in _commands(app):
        parts += [f"## cookbook {name}\n", _block(app, name.split())]
        parts += [
            text
            for inner, _ in _commands(command)
            for text in (f"### cookbook {name} {inner}\n", _block(app, [name, inner]))
        ]
    return "\n".join(parts)


def _commands(parent: App) -> Iterator[tuple[str, App]]:
    for name in parent:
        if not name.startswith("-"):
            yield name, parent[name]


def _block(root: App, tokens: list[str]) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=WIDTH, force_terminal=False, color_system=None)
    root.help_print(tokens, console=console)
    lines = "\n".join(line.rstrip() for line in stream.getvalue().splitlines())
    return f"```text\n{lines.strip()}\n```\n"


if __name__ == "__main__":
    print(reference(), end="")
