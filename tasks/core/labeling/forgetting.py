"""Taking pairs out of the payment journal: its answers quote what members wrote."""

from collections.abc import Collection
from pathlib import Path

from tasks.core.labeling.journal import Journal, render_line
from tasks.core.store.files import write_atomically


def forget_pairs(path: Path, pair_ids: Collection[str]) -> int:
    """Rewrite the journal without the answers of these pairs; returns how many were removed.

    What they cost stays on record, as an amount without a text, so that budgets still hold. A
    pair that is labeled again later is paid for again. Two pairs with the same texts share an
    answer, and both lose it. The journal must not be in use.
    """
    with Journal(path) as journal:
        keys = {
            record["key"]
            for record in journal.records()
            if record["type"] == "intent" and record["pair_id"] in pair_ids
        }
        lines, removed = [], 0
        for record in journal.records():
            if record["key"] not in keys:
                lines.append(render_line(record))
            elif record["type"] != "intent":
                removed += record["type"] == "result"
                cost = {name: record[name] for name in ("key", "usd", "run")}
                lines.append(render_line({"type": "forgotten", **cost}))
        # The lock is on the old file; nobody else can hold it until this block ends.
        write_atomically(path, b"".join(lines), mode=0o600)
    return removed
