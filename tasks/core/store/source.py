"""The digest of the code behind a step: the step's module and what it imports below tasks/."""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]


@cache
def source_digest(module: str) -> str:
    """Hex sha256 over the sources of ``module`` and of every tasks module it reaches.

    Prefect's own TASK_SOURCE sees only the text of the decorated function, so that an edit
    below a thin step would serve old results; and hashing all of tasks/ would retrain the
    teachers for an edit of the report.
    """
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(_imports(name))
    digest = hashlib.sha256()
    for name in sorted(seen):
        digest.update(name.encode() + b"\0" + _path(name).read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def _imports(module: str) -> tuple[str, ...]:
    tree = ast.parse(_path(module).read_text(encoding="utf-8"))
    return tuple(name for node in ast.walk(tree) for name in _imported(node) if _exists(name))


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.startswith("tasks"))
    elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tasks"):
        yield str(node.module)
        # "from tasks.core import policy" names a module only in its second half.
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _exists(module: str) -> bool:
    return _path(module).is_file()


def _path(module: str) -> Path:
    base = PROJECT.joinpath(*module.split("."))
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
