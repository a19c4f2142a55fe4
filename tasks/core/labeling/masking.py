"""Contact data that must not leave the machine: e-mail addresses, links, phone numbers."""

import re

# Patterns and what stands in their place; a part of every prompt's hash.
MASKED = (
    (r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", "[e-mail]"),
    (r"\b(?:https?://|www\.)\S+", "[link]"),
    (r"(?<![\w+])\+\d[\d ()./-]{6,}\d", "[phone]"),
    (r"(?<![\w+-])\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?!\w)", "[phone]"),
)
_PATTERNS = [(re.compile(pattern), mask) for pattern, mask in MASKED]


def mask_contacts(text: str) -> str:
    """The text with e-mail addresses, links and phone numbers replaced by what they were.

    ``"write to ann@example.org"`` becomes ``"write to [e-mail]"``. Numbers without a country
    code or an American form are left: they are as likely an article's number as a phone's.
    """
    for pattern, mask in _PATTERNS:
        text = pattern.sub(mask, text)
    return text
