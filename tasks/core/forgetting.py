"""Taking a member out of a store: labels, impressions, effects, and all that was made of them."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.core.labeling.forgetting import forget_pairs
from tasks.core.personalization.game_files import load_game
from tasks.core.store.files import write_atomically
from tasks.core.store.registry import Registry


@dataclass(frozen=True)
class Forgotten:
    """What was removed, and which registered models still carry the member.

    ``artifacts``: kinds of the artifacts removed; ``answers``: answers taken out of the payment
    journal; ``scores``: lines taken out of the scoring folder's files; ``effects``: versions with
    an effect of the member's own; ``trained``: all versions, since each may have learned from
    rows of the member.
    """

    artifacts: list[str]
    answers: int
    scores: int
    effects: list[str]
    trained: list[str]


def forget_member(store: Path, domain: str, member_id: str) -> Forgotten:
    """Remove every artifact that holds the member, and all made from it; the store must be held.

    The domain's own files are not touched: the next run reads the member again from them.
    """
    holding = [path for path in store.glob("artifacts/*/*") if _holds(path, member_id)]
    pair_ids = {pair for folder in holding for pair in _pairs(folder, member_id)}
    doomed = _downstream(store, {folder.name for folder in holding})
    journal = store / domain / "labels" / "journal.jsonl"
    answers = forget_pairs(journal, pair_ids) if pair_ids and journal.exists() else 0
    kinds = sorted({folder.parent.name for folder in doomed})
    for folder in doomed:
        shutil.rmtree(folder)
    shutil.rmtree(store / "scratch", ignore_errors=True)
    scoring = sorted((store / domain / "scoring").glob("*.jsonl"))
    scores = sum(_forget_lines(path, member_id) for path in scoring)
    registry = Registry(store / domain / "registry")
    effects = [
        version
        for version in registry.versions()
        if _has_effect(registry.folder / "versions" / version / "effects", member_id)
    ]
    return Forgotten(kinds, answers, scores, effects, registry.versions())


def _forget_lines(path: Path, member_id: str) -> int:
    """Take the member's lines out of a file of pairs or scores; returns how many there were."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not _names(line, member_id)]
    if len(kept) < len(lines):
        write_atomically(path, "".join(kept).encode(), mode=0o600)
    return len(lines) - len(kept)


def _names(line: str, member_id: str) -> bool:
    try:
        row = json.loads(line)
    except ValueError:  # a line that no score was ever given
        return False
    return isinstance(row, dict) and row.get("member_id") == member_id


def _holds(folder: Path, member_id: str) -> bool:
    if _has_effect(folder / "effects", member_id):
        return True
    return any(True for _ in _rows_of(folder, member_id))


def _rows_of(folder: Path, member_id: str) -> Iterator[dict[str, list[str]]]:
    for path in folder.glob("*.parquet"):
        names = pq.read_schema(path).names
        if "member_id" not in names:
            continue
        wanted = [name for name in ("member_id", "pair_id") if name in names]
        table = pq.read_table(path, columns=wanted)
        found = table.filter(pc.equal(table["member_id"], member_id))
        if found.num_rows:
            yield found.to_pydict()


def _pairs(folder: Path, member_id: str) -> set[str]:
    return {pair for columns in _rows_of(folder, member_id) for pair in columns.get("pair_id", [])}


def _downstream(store: Path, digests: set[str]) -> list[Path]:
    """Folders of these digests (16 digits) and of all that was made from them, however remotely."""
    made_from = {}
    for path in store.glob("artifacts/*/*/manifest.json"):
        key = json.loads(path.read_text(encoding="utf-8"))["key"]
        made_from[path.parent] = {digest[:16] for digest in key["upstream"]}
    doomed = set(digests)
    while more := {
        folder.name
        for folder, sources in made_from.items()
        if folder.name not in doomed and sources & doomed
    }:
        doomed |= more
    return sorted(folder for folder in made_from if folder.name in doomed)


def _has_effect(folder: Path, member_id: str) -> bool:
    if not (folder / "game.json").is_file():
        return False
    models = load_game(folder).models.values()
    return any(model.coefficients(member_id) is not None for model in models)
