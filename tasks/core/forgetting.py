"""Taking a member out of a store: labels, impressions, effects, and all that was made of them."""

import json
import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.core.errors import CookbookError
from tasks.core.forgotten_members import note_forgotten
from tasks.core.labeling.forgetting import check_no_batch_holds, count_unmarked, forget_pairs
from tasks.core.personalization.forgotten_effects import has_effect
from tasks.core.personalization.game_files import load_game
from tasks.core.scored_members import clear_half_scores, forget_lines
from tasks.core.serving_without import serve_without
from tasks.core.store.artifacts import MANIFEST
from tasks.core.store.leftovers import discard, remove_leftovers
from tasks.core.store.registry import Registry
from tasks.core.store.used_artifacts import Say, used_artifacts

# What reading a file that is damaged, or none at all, may raise.
DAMAGE = (CookbookError, OSError, ValueError, LookupError, TypeError)


@dataclass(frozen=True)
class Forgotten:
    """What was removed, and which registered models still carry the member.

    ``artifacts``: kinds of the artifacts removed; ``answers``: answers taken out of the payment
    journal; ``unmarked``: answers left there that do not say whom they are about; ``scores``:
    lines taken out of the scoring folder's files; ``effects``: versions with an effect of the
    member's own; ``refused``: those of them that waited to serve; ``trained``: all versions, since
    each may have learned from rows of the member; ``served``: the one in service; ``instead_of``:
    the one that it is a copy of, without the member's effect, where such a copy was made.
    """

    artifacts: list[str]
    answers: int
    unmarked: int
    scores: int
    effects: list[str]
    refused: list[str]
    trained: list[str]
    served: str | None
    instead_of: str | None


def forget_member(
    store: Path,
    domain: str,
    member_id: str,
    *,
    pair_ids: Collection[str] = (),
    say: Say = print,
) -> Forgotten:
    """Remove a domain's artifacts that hold the member, and all made from them.

    What only finished runs of other domains used stays: there the same id is somebody else. The
    domain's own files are not touched: the next run reads the member again from them. The store
    must be held. After a kill the same call finishes what is left. The model in service gives way
    to a copy without the member's effect, candidates that have it are refused, and no refresh
    learns or carries one again.

    Args:
        pair_ids: further pairs of the member, for answers that do not say whom they are about.
        say: hears of what is damaged; it counts as holding the member.

    Raises:
        CookbookError: no member is named, scores are being written, or a batch under way asks
            the judge about the member.
    """
    if not member_id:
        raise CookbookError("A member is forgotten by id; came an empty one. Name the member.")
    scoring = store / domain / "scoring"
    clear_half_scores(scoring)
    check_no_batch_holds(store / domain / "labels", member_id)
    note_forgotten(store / domain, member_id)
    remove_leftovers(store)
    artifacts = _artifacts(store, domain, say)
    holding = [path for path in artifacts if _holds(path, member_id, say)]
    # The answers go first, since the artifacts name their pairs.
    known = {pair for folder in holding for pair in _pairs(folder, member_id)}
    answers, unmarked = _forget_answers(store / domain, member_id, known.union(pair_ids))
    doomed = _with_derived(store, artifacts, holding)
    for folder in doomed:
        discard(folder)
    shutil.rmtree(store / "scratch", ignore_errors=True)
    scores = forget_lines(scoring, member_id)
    registry = Registry(store / domain / "registry")
    instead_of = _serve_without(registry, member_id, store / "scratch" / "forget", say)
    effects = [
        version
        for version in registry.versions()
        if _may_have_effect(registry.folder / "versions" / version / "effects", member_id, say)
    ]
    refused = _refuse_candidates(registry, effects)
    # A scoring that began meanwhile has read the old pairs, and ends with the member's scores.
    clear_half_scores(scoring)
    return Forgotten(
        artifacts=sorted({folder.parent.name for folder in doomed}),
        answers=answers,
        unmarked=unmarked,
        scores=scores + forget_lines(scoring, member_id),
        effects=effects,
        refused=refused,
        trained=registry.versions(),
        served=registry.served_version(),
        instead_of=instead_of,
    )


def _serve_without(registry: Registry, member_id: str, scratch: Path, say: Say) -> str | None:
    """The version that a copy without the member's effect took the place of, if one did."""
    if not registry.versions():
        return None
    try:
        return serve_without(registry, member_id, scratch)
    except CookbookError as error:
        say(f"The model in service may go on carrying the member's effect: {error}")
        return None


def _refuse_candidates(registry: Registry, effects: list[str]) -> list[str]:
    """Those with the member's effect that an approval could still put into service."""
    refused = [version for version in registry.undecided() if version in effects]
    for version in refused:
        reason = "it has an effect of a member who was forgotten; run again"
        registry.refuse(version, reason=reason, by="forget")
    return refused


def _artifacts(store: Path, domain: str, say: Say) -> list[Path]:
    """Artifacts that the domain may have used: all but those of other domains' runs alone."""
    there = list(store.glob("artifacts/*/*/"))
    own: set[str] = set()
    others: set[str] = set()
    for run in store.glob("*/finished/*"):
        used = used_artifacts(run, say)
        if run.parents[1].name == domain:
            own |= {path.name for path in there} if used is None else used
        elif used is not None:  # what a damaged report does not name may be this domain's
            others |= used
    return [path for path in there if path.name not in others - own]


def _forget_answers(domain: Path, member_id: str, pair_ids: set[str]) -> tuple[int, int]:
    """How many answers were removed from the journal, and how many there name nobody."""
    journal = domain / "labels" / "journal.jsonl"
    if not journal.exists():
        return 0, 0
    return forget_pairs(journal, pair_ids, member_id=member_id), count_unmarked(journal)


def _holds(folder: Path, member_id: str, say: Say) -> bool:
    if _may_have_effect(folder / "effects", member_id, say):
        return True
    try:
        return any(True for _ in _rows_of(folder, member_id))
    except DAMAGE as error:
        say(f"{folder} cannot be read ({error}), so it counts as holding the member, and goes.")
        return True


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
    with suppress(*DAMAGE):
        rows = _rows_of(folder, member_id)
        return {pair for columns in rows for pair in columns.get("pair_id", [])}
    return set()


def _with_derived(store: Path, artifacts: list[Path], holding: list[Path]) -> list[Path]:
    """What holds the member and all made from it, however remotely; what was made last, first.

    In this order a kill never leaves what was made from the member without its source, by which
    the next call finds it. What was made from an artifact that is gone, or lost its manifest, goes
    too: nobody can tell any more whether the member is in it.
    """
    by_name = {folder.name: folder for folder in artifacts}
    made_from = {folder.name: _sources(folder) for folder in artifacts}
    there = {folder.name for folder in store.glob("artifacts/*/*/")}
    gone = {folder.name for folder in holding}
    for name in (order := [*TopologicalSorter(made_from).static_order()]):
        if name not in there or made_from.get(name, set()) & gone:
            gone.add(name)
    return [by_name[name] for name in reversed(order) if name in gone and name in by_name]


def _sources(folder: Path) -> set[str]:
    try:
        key = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["key"]
        return {digest[:16] for digest in key["upstream"]}
    except (OSError, ValueError, LookupError, TypeError):
        return {"unknown"}  # which no artifact is called, so that it counts as gone


def _may_have_effect(folder: Path, member_id: str, say: Say) -> bool:
    if not (folder / "game.json").is_file():
        return False
    try:
        return has_effect(load_game(folder), member_id)
    except DAMAGE as error:
        say(f"{folder} cannot be read ({error}), so it counts as having an effect of the member.")
        return True
