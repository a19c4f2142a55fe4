"""`cookbook models`: the versions of a domain's model, and which of them serves."""

import getpass
import json
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.commands.options import (
    DOMAIN,
    PROJECT,
    STORE,
    Domain,
    Root,
    RunOptions,
    Store,
    registry_folder,
)
from tasks.core.errors import CookbookError
from tasks.core.store.registry import Registry
from tasks.core.store.versions import Model
from tasks.core.store.withdrawal import withdrawal
from tasks.core.text import sanitize

if TYPE_CHECKING:
    from tasks.core.inspection import Reproduction

models = App(
    name="models", help="Versions of the model: list, show, promote, roll back, export, reproduce."
)
GONE = "files removed"
LONGEST_WHY = 100  # letters of a reason in the list; `models show` has all of it
Reason = Annotated[str, Parameter(help="Why, for those who read the log later.")]
Format = Annotated[
    Literal["transformers", "onnx"],
    Parameter(help="onnx adds scorer/model.onnx, compared with torch and timed beside it."),
]


@models.command(name="list")
def list_models(*, domain: Domain = DOMAIN, store: Store = STORE) -> None:
    """List every version with its gate figures and what was decided about it."""
    registry = _registry(store, domain)
    if not registry.versions():
        print(f"No model was registered yet: {registry.folder} has none.")
        return
    table = Table("version", "made", "state", "NDCG@10", "kappa", "why")
    for version in registry.versions():
        state, why = _state(registry, version)
        table.add_row(version, *_figures(registry, version, state), Text(why))
    Console().print(table)


def _figures(registry: Registry, version: str, state: str) -> tuple[str, str, str, str]:
    """When it was made, its state, and its figures on the gate split; a damaged one has none."""
    try:
        model = registry.model(version)
    except CookbookError:
        return "", state if state == GONE else f"damaged, {state}", "", ""
    gate = model.card.get("gate", {})
    figures = (f"{gate[name]:.3f}" if name in gate else "" for name in ("ndcg", "kappa"))
    return f"{model.created:%Y-%m-%d %H:%M}", state, next(figures), next(figures)


def _state(registry: Registry, version: str) -> tuple[str, str]:
    """What a version does now, and the reason that the log gives for it, shortened."""
    own = [entry for entry in registry.log() if entry["version"] == version]
    withdrawn = withdrawal(registry, version)
    if version == registry.served_version():
        state = "in service"
    elif own and own[-1]["event"] == "retired":
        state = GONE
    elif version in registry.waiting():
        state = "waits for approval"
    elif withdrawn is not None:
        state = f"taken out by {sanitize(withdrawn['by'])}"
        own.append(withdrawn)
    elif not own or own[-1]["event"] == "registered":
        state = "registered"
    else:
        state = "refused" if own[-1]["event"] == "refused" else "served before"
    reason = sanitize(own[-1]["reason"]) if own else "the log says nothing of it"
    return state, shorten(reason, LONGEST_WHY, placeholder=" ...")


@models.command
def show(version: str, /, *, domain: Domain = DOMAIN, store: Store = STORE) -> None:
    """Print a version's card, its files and what happened to it, as JSON."""
    registry = _registry(store, domain)
    model = registry.model(version)
    events = [
        entry for entry in registry.log() if version in (entry["version"], entry["instead_of"])
    ]
    files = sorted(
        str(path.relative_to(model.folder)) for path in model.folder.rglob("*") if path.is_file()
    )
    shown = {
        "version": version,
        "state": _state(registry, version)[0],
        "created": model.created.isoformat(),
        "compared_with": model.served_then,
        "report": _report(store, domain, model),
        "card": _without_queries(model.card),
        "files": files,
        "events": events,
    }
    print(json.dumps(shown, indent=1, ensure_ascii=False))


def _report(store: Path, domain: str, model: Model) -> str | None:
    """The report of the run that made it, or None where that folder is gone."""
    from tasks.core.inspection import run_behind

    try:
        run = run_behind(store, domain, model)
        return str(store / domain / "finished" / run.report["run_key"] / "report.html")
    except CookbookError:
        return None


def _without_queries(card: dict[str, Any]) -> dict[str, Any]:
    """The card with a count in place of its one line a gate query."""
    by_query = card.get("gate", {}).get("ndcg_by_query")
    if by_query is None:
        return card
    gate = {name: value for name, value in card["gate"].items() if name != "ndcg_by_query"}
    return {**card, "gate": {**gate, "queries": len(by_query)}}


@models.command
def promote(
    version: str, /, *, reason: Reason, domain: Domain = DOMAIN, store: Store = STORE
) -> None:
    """Put a version into service, whatever the gates said; the log keeps the reason."""
    registry = _registry(store, domain, to_change=True)
    before = registry.served_version()
    registry.promote(version, reason=reason, by=_who())
    if version == before:
        print(f"{version} was in service already; nothing changed, and the log has no new line.")
    else:
        print(f"{version} is in service, instead of {before or 'none'}.")


@models.command
def rollback(*, reason: Reason, domain: Domain = DOMAIN, store: Store = STORE) -> None:
    """Put the version that served before back into service."""
    registry = _registry(store, domain, to_change=True)
    before = registry.served_version()
    model = registry.rollback(reason=reason, by=_who())
    if model.version == before:
        print(
            f"{before} is in service again already, by these words of yours; nothing changed. "
            "To go back further, give another reason."
        )
    elif before is None:  # the pointer was damaged: nobody knows what a run would not put back
        print(f"{model.version} is in service again.")
    else:
        print(f"{model.version} is in service again; {before} is out, and no run puts it back.")


def _who() -> str:
    """The login; a container's user may be a number alone."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


@models.command
def export(
    version: str,
    folder: Path,
    /,
    *,
    format: Format = "transformers",
    domain: Domain = DOMAIN,
    store: Store = STORE,
) -> None:
    """Copy a version's checked files into a new folder, for another engine to load.

    All but the scorer is readable by its owner alone: effects and card hold what people did.
    """
    building = folder.parent / f".{folder.name}.building"
    shutil.rmtree(building, ignore_errors=True)
    if folder.exists():
        raise CookbookError(f"An export makes a new folder; {folder} exists. Name another one.")
    model = _registry(store, domain).model(version)
    # Nobody else reads what is in it before its own modes are set.
    building.mkdir(parents=True, mode=0o700)
    try:
        copy = building / folder.name
        shutil.copytree(model.folder, copy)
        _close_personal(copy)
        if format == "onnx":
            _add_onnx(copy / "scorer")
        copy.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    print(f"{version} is in {folder}; {folder / 'scorer'} is a plain transformers folder.")


def _close_personal(folder: Path) -> None:
    """Make all but the scorer its owner's alone."""
    for path in folder.rglob("*"):
        if path.relative_to(folder).parts[0] != "scorer":
            path.chmod(0o700 if path.is_dir() else 0o600)


def _add_onnx(scorer: Path) -> None:
    from tasks.core.training.onnx_export import CANDIDATES, MODEL, export_onnx
    from tasks.core.training.scorer import PairScorer

    found = export_onnx(PairScorer.load(scorer), scorer)
    print(f"{MODEL}: raw logits within {found.largest_gap:.1e} of torch's, both in float32.")
    times = {"onnxruntime": found.onnx_ms, "torch": found.torch_ms}
    for engine, (p50, p99) in times.items():
        print(
            f"{CANDIDATES} pairs of up to {found.tokens} tokens, {engine}: "
            f"{p50:.1f} ms (p99 {p99:.1f} ms)"
        )


@models.command
def reproduce(
    version: str, /, *, domain: Domain = DOMAIN, root: Root = PROJECT, store: Store = STORE
) -> None:
    """Make a version again from its recorded settings, and compare every digest.

    It runs in a store of its own, which is removed afterwards, and takes as long as the run did.
    Labels that were paid for are not asked for again.
    """
    from pydantic import ValidationError

    from flows.commands.pipeline import run_flow
    from tasks.core.inspection import compare_with_recorded, run_behind
    from tasks.core.store.leftovers import REPRODUCTION
    from tasks.core.store.lock import run_lock
    from tasks.settings import Settings

    model = _registry(store, domain).model(version)
    if earlier := model.card.get("made_from"):
        raise CookbookError(
            f"A version is reproduced from the run that made it; {version} is {earlier} with "
            "effects that were refreshed, or without those of a forgotten member. Reproduce "
            f"{earlier}; a refresh takes the log of that day."
        )
    recorded = run_behind(store, domain, model)
    try:
        settings = Settings.model_validate(recorded.manifest["settings"])
    except ValidationError as error:
        raise CookbookError(
            f"A version is reproduced by code that knows its settings; those of {version} were "
            f"recorded at commit {recorded.report['environment'].get('commit')}, and "
            f"{error.error_count()} of them are unknown here or no longer allowed. Check out that "
            "commit and give the command there."
        ) from None
    # The lock says that it is at work; what a kill leaves unlocked is removed by clean and forget.
    with TemporaryDirectory(prefix=REPRODUCTION, dir=store) as made, run_lock(Path(made)):
        again, labels = Path(made) / "store", store / domain / "labels"
        if labels.is_dir():
            shutil.copytree(labels, again / domain / "labels")
        run_flow(
            RunOptions(domain=domain, root=root, store=again),
            until="personalize",
            settings=settings,
        )
        _show(compare_with_recorded(recorded, again, model), version)


def _show(found: "Reproduction", version: str) -> None:
    for step in found.new_inputs:
        print(f"{step}: its data, settings or code are not those of then")
    for step in found.new_contents:
        print(f"{step}: same inputs, other content")
    if found.new_files:
        raise CookbookError(
            f"{version} should come out as it is registered; {', '.join(found.new_files)} differ. "
            "The lines above name the steps; check out the commit and the data of then."
        )
    same = "from the same inputs" if not found.new_inputs else "although inputs differ"
    print(f"{version} came out the same, file by file, {same}.")


def _registry(store: Path, domain: str, *, to_change: bool = False) -> Registry:
    registry = Registry(registry_folder(store, domain))
    if to_change and not registry.versions():  # its lock would make the folder of a mistyped one
        raise CookbookError(
            f"Versions are in the registry of a store that a run wrote to; {registry.folder} has "
            "none. Name the right --store and --domain."
        )
    return registry
