"""Reading finished runs: which one made a version, and how two of them differ."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core.errors import CookbookError
from tasks.core.store.artifacts import find
from tasks.core.store.files import file_sha256
from tasks.core.store.versions import Model, read_manifest

# Timings differ between two equal runs, and curves say what their errors say.
_LEFT_OUT = ("lineage", "reliability", "environment", "seconds_by_step")


@dataclass(frozen=True)
class FinishedRun:
    """A finished run's folder: report.json, manifest.json, and the store it lies in."""

    report: dict[str, Any]
    manifest: dict[str, Any]
    store: Path

    @classmethod
    def load(cls, folder: Path) -> "FinishedRun":
        """Read a folder such as runs/job_search/latest.

        Raises:
            CookbookError: it holds no finished run.
        """
        try:
            report, manifest = (
                json.loads((folder / name).read_text(encoding="utf-8"))
                for name in ("report.json", "manifest.json")
            )
        except (OSError, ValueError):
            raise CookbookError(
                f"A finished run's folder holds report.json and manifest.json; {folder} does not. "
                "Run `cookbook run`, or name a folder such as runs/job_search/latest."
            ) from None
        above = folder.resolve().parents
        store = next((up for up in above if (up / "artifacts").is_dir()), folder)
        return cls(report, manifest, store)

    def folders(self, kind: str) -> list[Path]:
        """Folders of the run's artifacts of one kind."""
        return [
            self.store / "artifacts" / kind / entry["digest"][:16]
            for entry in self.report["lineage"]
            if entry["step"] == kind
        ]


def run_behind(store: Path, domain: str, model: Model) -> FinishedRun:
    """The newest finished run that made a version: the latest report is what was decided by.

    Raises:
        CookbookError: its folder is gone, or damaged.
    """
    # The manifest comes last: a folder without one is a report that was never finished.
    finished = list((store / domain / "finished").glob("*/manifest.json"))
    for manifest in sorted(finished, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        # A damaged one may be another version's; if it is this one's, it is gone.
        with suppress(CookbookError, LookupError, TypeError):
            run = FinishedRun.load(manifest.parent)
            if any(entry["digest"] == model.card["run"] for entry in run.report["lineage"]):
                return run
    raise CookbookError(
        f"{model.version} is told from the run that registered it; none below "
        f"{store / domain / 'finished'} that can be read did. Restore that folder from a backup."
    )


@dataclass(frozen=True)
class Reproduction:
    """What a second making of a version showed, each a list of steps or files in order.

    ``new_inputs``: steps whose data, settings or code are not the recorded ones;
    ``new_contents``: steps with the recorded inputs and other content; ``new_files``: files of
    the model that differ.
    """

    new_inputs: list[str]
    new_contents: list[str]
    new_files: list[str]


def compare_with_recorded(recorded: FinishedRun, again: Path, model: Model) -> Reproduction:
    """Hold the artifacts of the store ``again`` to those that the recorded run names."""
    expected: dict[str, list[str]] = {k: list(v) for k, v in recorded.manifest["artifacts"].items()}
    made = {path.name for path in (again / "artifacts").iterdir()}
    new_inputs, new_contents = [], []
    for entry in recorded.report["lineage"]:
        content = expected[entry["step"]].pop(0)
        artifact = find(again / "artifacts" / entry["step"] / entry["digest"])
        if artifact is None and entry["step"] in made:
            new_inputs.append(entry["step"])
        elif artifact is not None and artifact.content_digest != content:
            new_contents.append(entry["step"])
    return Reproduction(new_inputs, new_contents, _new_files(again, model))


def _new_files(again: Path, model: Model) -> list[str]:
    """Files of scorer and effects that no artifact of the same name and content matches."""
    hashes = read_manifest(model.folder)["files"]
    found = {
        (path.relative_to(folder).as_posix(), file_sha256(path))
        for folder in again.glob("artifacts/*/*")
        if folder.parent.name.startswith("calibrated_") or folder.parent.name == "effects"
        for path in folder.rglob("*")
        if path.is_file()
    }
    model_files = {name for name in hashes if name.startswith(("scorer/", "effects/"))}
    return sorted(name for name in model_files if (name, hashes[name]) not in found)


def compare(first: FinishedRun, second: FinishedRun) -> list[str]:
    """Lines of what differs: settings, then results, then artifacts made anew."""
    settings = _differences(first.manifest["settings"], second.manifest["settings"])
    shown = [
        {name: part for name, part in run.report.items() if name not in _LEFT_OUT}
        for run in (first, second)
    ]
    results = _differences(shown[0], shown[1])
    artifacts = _differences(first.manifest["artifacts"], second.manifest["artifacts"])
    made_anew = [f"artifact {line.split(':')[0]}" for line in artifacts]
    return [*(f"setting {line}" for line in settings), *results, *made_anew]


def _differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in [*one, *(key for key in other if key not in one)]:
            yield from _differences(one.get(key), other.get(key), f"{path}.{key}" if path else key)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            name = pair[0].get("role", number) if isinstance(pair[0], Mapping) else number
            yield from _differences(*pair, f"{path}[{name}]")
    elif one != other:
        yield f"{path}: {_short(one)} -> {_short(other)}"


def _short(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
