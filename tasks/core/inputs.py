"""What a scorer reads: a query, who asks, and a candidate, rendered by one template.

The template travels in the scorer's folder, so training, scoring and another engine read the
same text. Documents' and members' groups are no part of it and never reach a model.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tasks.core.summaries import most_telling_first, sentences
from tasks.core.text import sanitize

MAX_FACETS, MAX_FACET_WORDS = 8, 4


@dataclass(frozen=True)
class InputTemplate:
    """How a pair becomes text.

    ``query`` and ``member`` (used when a member asks) make the left side, ``candidate`` the
    right side: ``facets`` are the short attribute values alone (a place, a kind, a maker), which
    decide much and take few tokens, ``attributes`` all of them by name. Where words have
    ``worths`` (``summaries.word_worths``) a long text's sentences stand the most telling first.
    ``suffix`` follows the right side for causal models: it ends where the grade token would come.
    The right side is cut to fit ``max_tokens``; the rest is never cut away.
    """

    max_tokens: int
    query: str = "{query}"
    member: str = "{query} | {member}"
    candidate: str = "{title}. {facets}{text} {attributes}"
    prefix: str = ""
    suffix: str = ""
    worths: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class PairText:
    """The two sides of a pair as text."""

    left: str
    right: str


def render_pair(
    template: InputTemplate, query: str, member_text: str, document: Mapping[str, Any]
) -> PairText:
    """Render one pair; ``document`` has title, text and attributes (as JSON)."""
    return PairText(
        left=render_query(template, query, member_text),
        right=render_candidate(template, document),
    )


def render_query(template: InputTemplate, query: str, member_text: str) -> str:
    """The asker's side alone."""
    form = template.member if member_text else template.query
    return sanitize(form.format(query=query, member=member_text))


def render_candidate(template: InputTemplate, document: Mapping[str, Any]) -> str:
    """The candidate's side alone."""
    fields = {
        "title": document["title"],
        "text": document["text"],
        "facets": render_facets(document["attributes"]),
        "attributes": render_attributes_json(document["attributes"]),
    }
    if template.worths:
        fields["text"] = _most_telling_first(template, fields)
    return sanitize(template.candidate.format(**fields))


def _most_telling_first(template: InputTemplate, fields: Mapping[str, str]) -> str:
    """The text, unless it surely fits, by what its sentences tell beside title and facets."""
    told = sanitize(f"{fields['title']} {fields['facets']}")
    pieces = [sanitize(piece) for piece in sentences(fields["text"])]
    # A candidate has half of the tokens at least, and a word seldom takes more than two.
    if len(told.split()) + sum(len(piece.split()) for piece in pieces) <= template.max_tokens // 4:
        return fields["text"]
    # A word takes one token at least, so that more words than tokens are never read.
    return " ".join(
        most_telling_first(pieces, told, template.worths, most_words=template.max_tokens)
    )


def render_facets(attributes: str) -> str:
    """The short texts among a JSON object's values as a sentence: ``Lisbon, remote, nursing. ``.

    Empty where there are none, so that no stray full stop stands in the text.
    """
    values = json.loads(attributes or "{}").values()
    short = (v for v in values if isinstance(v, str) and 0 < len(v.split()) <= MAX_FACET_WORDS)
    facets = ", ".join(list(dict.fromkeys(short))[:MAX_FACETS])
    return f"{facets}. " if facets else ""


def render_attributes_json(attributes: str) -> str:
    """As ``render_attributes``, of a JSON object in text, the form in which tables hold it."""
    return render_attributes(json.loads(attributes or "{}"))


def render_attributes(attributes: Mapping[str, Any]) -> str:
    """``key: value`` for every attribute that has a value, in the order the user gave."""
    parts = (
        f"{key.replace('_', ' ')}: {_value(value)}"
        for key, value in attributes.items()
        if value not in (None, "", [])
    )
    return "; ".join(parts)


def _value(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(str(item) for item in value)
    return str(value)
