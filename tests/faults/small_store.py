"""A store of a few bytes with everything that commands change: made by what makes real ones."""

import json
import os
import time
from pathlib import Path

from tasks.core.labeling.journal import Journal, member_mark, render_line
from tasks.core.labeling.replies import Reply
from tasks.core.store.artifacts import Artifact, Counts, Workbench, artifact_store, materialize
from tasks.core.store.files import file_sha256, write_json
from tasks.core.store.registry import Registry
from tasks.core.tables import write_table

DOMAIN = "jobs"
OLD = time.time() - 100 * 24 * 3600


def small_store(store: Path) -> Path:
    """Three versions that served one after another, one that waits, runs, answers and scores."""
    with artifact_store(store):
        policy = _made("policy")
        held = _made("impressions", policy, members=["m1", "m2"])
        others = _made("pairs", policy, members=["m2"])
        student = _made("student", _made("click_teacher", held), others)
        expired = [_made("soft_labels", policy, others), _made("effects", held)]
    _run(store, "first", [policy, others, *expired])
    _run(store, "second", [policy, held, others, student])
    (store / DOMAIN / "latest").symlink_to("finished/second")
    _versions(store)
    _answers(store / DOMAIN / "labels" / "journal.jsonl")
    scoring = store / DOMAIN / "scoring"
    scoring.mkdir()
    (scoring / "scores.jsonl").write_text('{"member_id": "m1"}\n{"member_id": "m2"}\n')
    (store / "artifacts" / "pairs" / "ab.building").mkdir()
    for path in (*(one.folder for one in expired), store / DOMAIN / "finished" / "first"):
        os.utime(path, (OLD, OLD))
    return store


def _made(kind: str, *upstream: Artifact, members: list[str] | None = None) -> Artifact:
    def build(bench: Workbench) -> Counts:
        write_json(bench.out / "about.json", {"kind": kind})
        if members is not None:
            pairs = [f"pair-{name}" for name in members]
            write_table(bench.out / "rows.parquet", {"pair_id": pairs, "member_id": members})
        return {}

    return materialize(kind, build, settings={}, upstream=upstream)


def _run(store: Path, name: str, artifacts: list[Artifact]) -> None:
    folder = store / DOMAIN / "finished" / name
    folder.mkdir(parents=True)
    lineage = [{"step": one.kind, "digest": one.digest} for one in artifacts]
    write_json(folder / "report.json", {"run_key": name, "lineage": lineage})
    (folder / "report.html").write_text(name)


def scorer(folder: Path, weights: str) -> Path:
    """Files of a version, two of them below a folder."""
    (folder / "calibration").mkdir(parents=True)
    (folder / "model.safetensors").write_text(weights)
    (folder / "calibration" / "bins.json").write_text("{}")
    return folder


def _versions(store: Path) -> None:
    registry = Registry(store / DOMAIN / "registry")
    for weights in ("one", "two", "three", "four"):
        made = {"scorer": scorer(store.parent / "scorers" / weights, weights)}
        version = registry.register(made, {"weights": weights})
        if weights == "four":
            registry.offer(version, reason="passes", by="run")
        else:
            registry.promote(version, reason="passes", by="run")
        os.utime(registry.folder / "versions" / version / "manifest.json", (OLD, OLD))


def _answers(path: Path) -> None:
    with Journal(path) as journal:
        for number, member in enumerate(("m1", "m2")):
            key, mark = f"{number:064x}", member_mark(member)
            pair, reply = f"pair-{member}", Reply("3", "judge", "stop")
            journal.intend(key, pair_id=pair, usd=0.1, run="first", billed=True, member=mark)
            journal.answer(key, reply, usd=0.1, run="first", member=mark)
        records = [*journal.records()]
    # The second member's answer is old enough to go.
    aged = (one | {"day": "2020-01-01"} if one["key"] == key else one for one in records)
    path.write_bytes(b"".join(map(render_line, aged)))


def state(folder: Path) -> dict[str, str]:
    """Every name below the folder and what is behind it; of the log what happened, and not when.

    A change that a kill cut off is noted again when it is made: twice in a row is once.
    """
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.name == "log.jsonl":
            found[name] = json.dumps(happened(path))
        elif path.name not in ("run.lock", "lock"):
            content = file_sha256(path) if path.is_file() else "folder"
            found[name] = f"{path.stat().st_mode & 0o777:o} {content}"
    return found


def happened(log: Path) -> list[list[str]]:
    lines = (json.loads(line) for line in log.read_text().splitlines())
    events = [[line[name] for name in ("event", "version", "reason", "by")] for line in lines]
    return [one for number, one in enumerate(events) if number == 0 or one != events[number - 1]]
