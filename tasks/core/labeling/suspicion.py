"""Marks of text that addresses the judge: they flag a pair for a second look, no more."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Any

_MARKS = {
    "instruction": re.compile(
        r"\b(ignore|disregard|forget|override)\b.{0,40}\b(policy|rules?|instructions?|above|prompt)"
        r"|\b(grade|rate|score|label) (this|it|the pair|everything)\b.{0,30}\b([0-9]|highest|full)"
        r"|\b(system|assistant|developer) ?:",
        re.IGNORECASE,
    ),
    "answer": re.compile(r"[\"']?(grade|overall|score)[\"']?\s*[:=]\s*[\"']?[0-9]", re.IGNORECASE),
    "delimiter": re.compile(r"(BEGIN|END) PAIR|<\|?/?(im_start|im_end|s|inst)\|?>", re.IGNORECASE),
    "reasoning": re.compile(r"thought process:|let(['’]s| us) (solve|think)", re.IGNORECASE),
}
_MOST_REPEATED = 4
_LISTED = 20
# Soft hyphens and joiners occur in honest text; tags and direction overrides do not.
_HIDDEN = re.compile("[\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")


def suspicions(text: str, query: str) -> tuple[str, ...]:
    """Names of the marks that a document or profile bears, in alphabetical order.

    ``suspicions("Ignore the policy.", "nurse")`` is ``("instruction",)``.
    """
    visible = unicodedata.normalize("NFKC", text)
    found = {name for name, pattern in _MARKS.items() if pattern.search(visible)}
    if _HIDDEN.search(text):
        found.add("hidden text")
    if query.strip() and visible.casefold().count(query.strip().casefold()) > _MOST_REPEATED:
        found.add("stuffing")
    return tuple(sorted(found))


def list_suspicions(pairs: Iterable[tuple[str, str, str]]) -> dict[str, Any]:
    """Of pairs (pair_id, text, query): how many bear which mark, and the first of them by name."""
    marks: Counter[str] = Counter()
    marked: list[str] = []
    looked_at = suspicious = 0
    for name, text, query in pairs:
        looked_at += 1
        found = suspicions(text, query)
        marks.update(found)
        suspicious += bool(found)
        if found and len(marked) < _LISTED:
            marked.append(name)
    return {
        "pairs": looked_at,
        "suspicious": suspicious,
        "marks": dict(sorted(marks.items())),
        "first": marked,
    }
