"""Text identities: pair ids, normalized queries, and text made safe to show or send."""

import hashlib
import re
import unicodedata

# Zero-width, bidirectional-override and tag characters: invisible, and so a place to hide orders.
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\U000e0000-\U000e007f\U000e0100-\U000e01ef]"
)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SPACES = re.compile(r"\s+")
_WORD = re.compile(r"[^\W_]+(?:[+#]+)?")


def pair_id(query_id: str, member_id: str | None, doc_id: str) -> str:
    """The first 16 hex digits of sha256 over the three ids, joined by newlines.

    A pair without a member has an empty second line, so that ids never run together.
    """
    key = "\n".join((query_id, member_id or "", doc_id))
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def normalize_query(text: str) -> str:
    """The form under which two queries count as one: NFKC, case-folded, words sorted.

    Word order is dropped because a reordered golden query in the traffic leaks its answer
    as surely as a copy: ``normalize_query("Nurse  ICU") == normalize_query("icu nurse")``.
    """
    folded = unicodedata.normalize("NFKC", sanitize(text)).casefold()
    return " ".join(sorted(_WORD.findall(folded)))


def words(text: str) -> list[str]:
    """Case-folded words; ``c++`` and ``c#`` stay whole."""
    return _WORD.findall(text.casefold())


def sanitize(text: str) -> str:
    """NFKC text without invisible or control characters, spaces collapsed.

    Members and employers write this text, and it ends in prompts and pages; what a reader
    cannot see must not be there.
    """
    visible = _CONTROL.sub(" ", _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)))
    return _SPACES.sub(" ", visible).strip()
