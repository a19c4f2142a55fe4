"""Taking answers out of the payment journal: they quote what members wrote."""

import json
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tasks.core.errors import CookbookError
from tasks.core.labeling.journal import Journal, member_mark, render_line
from tasks.core.store.files import write_atomically


def forget_pairs(path: Path, pair_ids: Collection[str], *, member_id: str = "") -> int:
    """Rewrite the journal without the answers about a member or these pairs; returns how many.

    What they cost stays on record, as an amount without a text, so that budgets still hold. A
    pair that is labeled again later is paid for again. Two pairs with the same texts share an
    answer, and both lose it. The journal must not be in use.
    """
    mark = member_mark(member_id) if member_id else None
    with Journal(path) as journal:
        keys = {
            record["key"]
            for record in journal.records()
            # A twin's name is its pair's id and a word behind it.
            if record.get("pair_id", "").partition(" ")[0] in pair_ids
            or (mark and record.get("member") == mark)
        }
        return _rewrite(journal, keys)


def forget_older(path: Path, *, days: int) -> int:
    """Rewrite the journal without what was noted more than ``days`` ago; returns the answers gone.

    Costs stay on record, as in ``forget_pairs``. Records of versions that noted no day count as
    old as the first that did: they are older, and nothing tells by how much.
    """
    oldest_kept = (datetime.now(UTC).date() - timedelta(days=days)).isoformat()
    with Journal(path) as journal:
        last: dict[str, str] = {}
        for record in journal.records():
            last[record["key"]] = max(last.get(record["key"], ""), record.get("day", ""))
        first = min((day for day in last.values() if day), default=oldest_kept)
        keys = {key for key, day in last.items() if (day or first) < oldest_kept}
        return _rewrite(journal, keys)


def count_unmarked(path: Path) -> int:
    """Answers of versions that noted no member: nobody can tell from them whom they are about."""
    with Journal(path) as journal:
        records = [(r["key"], r["type"], r.get("member")) for r in journal.records()]
    marked = {key for key, _, member in records if member}
    return len({key for key, kind, _ in records if kind == "result"} - marked)


def check_no_batch_holds(labels: Path, member_id: str) -> None:
    """Answers of a batch under way would come into the journal after the member was forgotten.

    Raises:
        CookbookError: a part of a batch that is not merged asks about the member, or does not
            say about whom it asks.
    """
    mark = member_mark(member_id)
    for keys in sorted(labels.glob("batches/*/*.keys")):
        marks = {line.partition(" ")[2] for line in keys.read_text().splitlines()}
        if marks & {mark, ""} and _under_way(keys):
            raise CookbookError(
                f"A member is forgotten when no batch asks the judge about them, and {keys} is of "
                "one that does, or does not say. Give the command again when a run has merged its "
                f"answers, or remove {keys.parent}: its answers are then paid for in vain."
            )


def _under_way(keys: Path) -> bool:
    """Whether a part of a batch is noted and not merged; a kill leaves keys of neither kind."""
    state = keys.with_name("batches.json")
    if not state.exists():
        return False
    try:
        parts = json.loads(state.read_text(encoding="utf-8"))["parts"]
        return any(one["name"] == keys.stem and one["status"] != "merged" for one in parts)
    except (ValueError, LookupError, TypeError):
        return True


def _rewrite(journal: Journal, keys: Collection[str]) -> int:
    """Leave of these keys what was paid; returns how many answers went."""
    lines, removed = [], 0
    for record in journal.records():
        if record["key"] not in keys:
            lines.append(render_line(record))
        elif record["type"] != "intent":
            removed += record["type"] == "result"
            lines.append(render_line(_cost(record)))
    if keys:
        # The lock is on the old file; nobody else can hold it until this journal is closed.
        write_atomically(journal.path, b"".join(lines), mode=0o600)
    return removed


def _cost(record: dict[str, Any]) -> dict[str, Any]:
    return {"type": "forgotten", **{name: record[name] for name in ("key", "usd", "run")}}
