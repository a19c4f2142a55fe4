"""Guards what must hold of every source file: imports one way, no code run from data."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
# Modules beside the steps that steps may import.
SHARED = {
    "allowed_queries",
    "asking",
    "branch",
    "click_gate",
    "click_settings",
    "exchange",
    "gate_split",
    "intent_settings",
    "judge_settings",
    "label_records",
    "fairness_settings",
    "label_settings",
    "llm_judge",
    "machine",
    "past_labels",
    "personal_settings",
    "promotion_settings",
    "run",
    "settings",
    "step",
    "to_label",
    "training_settings",
}
# Modeling code must run where torch, transformers, peft and pyarrow are, and these are not.
ABSENT_THERE = ("prefect", "openai", "datasets", "pandas")
MODELING = (
    "tasks.core.calibration",
    "tasks.core.distillation",
    "tasks.core.evaluation",
    "tasks.core.inputs",
    "tasks.core.intervals",
    "tasks.core.personalization",
    "tasks.core.ranking",
    "tasks.core.retrieval",
    "tasks.core.tables",
    "tasks.core.text",
    "tasks.core.training",
)
# Formats that run code when they are read.
PICKLERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
LOADERS = {
    "np.load", "numpy.load", "pd.read_pickle", "torch.hub.load", "torch.jit.load", "torch.load",
    "torch.save",
}  # fmt: skip
ALL_ADDRESSES = {"0.0.0.0", "::"}


@cache
def _trees() -> dict[Path, ast.Module]:
    return {
        path.relative_to(PROJECT): ast.parse(path.read_text(encoding="utf-8"))
        for folder in ("flows", "tasks", "benchmarks")
        for path in sorted((PROJECT / folder).rglob("*.py"))
    }


def _offenders(offends: Callable[[ast.AST], object]) -> list[str]:
    return [
        f"{path}:{getattr(node, 'lineno', 0)}"
        for path, tree in _trees().items()
        for node in ast.walk(tree)
        if offends(node)
    ]


def _imported(node: ast.AST) -> set[str]:
    """Top-level names of what an import statement imports."""
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        return {(node.module or "").split(".")[0]}
    return set()


def _called(node: ast.AST) -> str:
    """The dotted name of what a call calls: ``torch.load`` of ``torch.load(path)``."""
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


def _contracts() -> list[dict[str, Any]]:
    text = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    found: list[dict[str, Any]] = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
    return found


def test_the_whole_source_is_looked_at() -> None:
    assert {path.parts[0] for path in _trees()} == {"flows", "tasks", "benchmarks"}
    assert len([path for path in _trees() if path.parts[:2] == ("tasks", "core")]) > 100


def test_every_contract_of_the_import_linter_is_kept() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_contracts_know_every_step() -> None:
    steps = {path.stem for path in (PROJECT / "tasks").glob("*.py")} - {"__init__"}
    library, independence = (
        next(one for one in _contracts() if one["name"].startswith(start))
        for start in ("the pure library", "steps do not")
    )
    assert {f"tasks.{step}" for step in steps} <= set(library["forbidden_modules"])
    assert set(independence["modules"]) == {f"tasks.{step}" for step in steps - SHARED}


def test_nothing_reads_or_writes_a_pickle() -> None:
    assert _offenders(lambda node: PICKLERS & _imported(node)) == []


def test_weights_and_arrays_are_never_read_by_a_loader_that_unpickles() -> None:
    assert _offenders(lambda node: _called(node) in LOADERS) == []


def test_no_model_may_bring_its_own_code() -> None:
    def trusts(node: ast.AST) -> bool:
        return (
            isinstance(node, ast.keyword)
            and node.arg == "trust_remote_code"
            and ast.unparse(node.value) != "False"
        )

    assert _offenders(trusts) == []


def test_yaml_is_read_safely() -> None:
    assert _offenders(lambda node: _called(node) in {"yaml.load", "yaml.full_load"}) == []


def test_no_text_is_run_as_code() -> None:
    assert _offenders(lambda node: _called(node) in {"eval", "exec", "os.system", "os.popen"}) == []


def test_nothing_listens_beyond_this_machine() -> None:
    assert (
        _offenders(lambda node: isinstance(node, ast.Constant) and node.value in ALL_ADDRESSES)
        == []
    )


def test_source_files_stay_short() -> None:
    """One concept a file: a longer one holds two."""
    lengths = {path: len(_text(path).splitlines()) for path in _trees()}
    assert [
        str(path) for path, n in lengths.items() if n > 300 and path.parts[0] != "benchmarks"
    ] == []


def test_functions_stay_short() -> None:
    """Nine in ten within 25 lines; none past 40 but the pipeline, which is a table of contents."""
    lengths = {
        f"{path}:{node.name}": _body_lines(node)
        for path, tree in _trees().items()
        if path.parts[0] != "benchmarks"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    del lengths["flows/cookbook.py:cookbook"]
    assert [name for name, lines in lengths.items() if lines > 40] == []
    assert sum(lines <= 25 for lines in lengths.values()) / len(lengths) > 0.9


def _text(path: Path) -> str:
    return (PROJECT / path).read_text(encoding="utf-8")


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body without its docstring and the functions inside it."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    inner = [node for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return _lines(body) - sum(_lines([node]) for node in inner)


def _lines(nodes: list[Any]) -> int:
    return (nodes[-1].end_lineno or 0) - nodes[0].lineno + 1 if nodes else 0


def test_modeling_imports_without_prefect_openai_datasets_or_pandas() -> None:
    """In a process where these count as not installed: importing fails, probing finds nothing."""
    script = f"""
import importlib, pkgutil, sys
for name in {ABSENT_THERE!r}:
    sys.modules[name] = None
count = 0
for name in {MODELING!r}:
    module = importlib.import_module(name)
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), name + "."):
        importlib.import_module(found.name)
        count += 1
print(count)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 30
