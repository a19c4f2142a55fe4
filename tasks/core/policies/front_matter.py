"""The YAML head of a policy: name, version, unit, grades, dimensions, aggregation."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tasks.core.errors import CookbookError
from tasks.core.policies.model import Cap, Dimension, GradeLevel

_MAX_CHARACTERS = 65_536
_MAX_DEPTH = 16
# The parser of libyaml: as safe as yaml.safe_load, and unlike it accepts a question mark inside
# `{...}`, where the questions of dimensions stand.
_SafeLoader = yaml.CSafeLoader


@dataclass(frozen=True)
class FrontMatter:
    """What the YAML head declares, checked."""

    name: str
    version: str
    unit: str
    grades: tuple[GradeLevel, ...]
    dimensions: tuple[Dimension, ...]
    caps: tuple[Cap, ...]


def split_front_matter(text: str, where: str) -> tuple[str, str]:
    """YAML between the first two `---` lines, and the Markdown below.

    Raises:
        CookbookError: no front matter, one that never ends, or one of more than 64 KiB.
    """
    match = re.match(r"---\n(.*?\n)?---\n(.*)", text, flags=re.DOTALL)
    if match is None:
        raise CookbookError(
            f"{where}: expected YAML front matter between two lines of `---` at the top, got "
            f"{text[:30]!r}; start the file with policy, version, unit, grades, dimensions and "
            "aggregation."
        )
    head = match[1] or ""
    if len(head) > _MAX_CHARACTERS:
        raise CookbookError(
            f"{where}: expected front matter of at most {_MAX_CHARACTERS} characters, got "
            f"{len(head)}; move prose below it."
        )
    return head, match[2]


def parse_front_matter(head: str, where: str) -> FrontMatter:
    """Check the YAML head field by field.

    Raises:
        CookbookError: bad YAML, a repeated or missing key, a value of the wrong kind, grades
            not contiguous from 0, a repeated dimension, a cap on an unknown dimension.
    """
    data = _load(head, where)
    grades = _grades(data, where)
    dimensions = _dimensions(data, where)
    return FrontMatter(
        name=_text(data, "policy", where),
        version=_text(data, "version", where),
        unit=_text(data, "unit", where),
        grades=grades,
        dimensions=dimensions,
        caps=_caps(data, {d.id for d in dimensions}, len(grades), where),
    )


def _load(head: str, where: str) -> Mapping[str, Any]:
    try:
        _reject_deep_nesting(head, where)
        _reject_repeated_keys(yaml.compose(head, Loader=_SafeLoader), where)
        data = _SafeLoader(head).get_single_data()
    except (yaml.YAMLError, ValueError) as error:  # ValueError: looks like a date but is none
        reason = " ".join(str(error).split())[:200]
        raise CookbookError(
            f"{where}: expected valid YAML in the front matter, got an error: {reason}; mend it "
            "there (text with a colon needs quotes)."
        ) from None
    if not isinstance(data, dict):
        raise CookbookError(
            f"{where}: expected `key: value` pairs in the front matter, got "
            f"{type(data).__name__}; write policy, version, unit, grades, dimensions, aggregation."
        )
    return data


def _reject_deep_nesting(head: str, where: str) -> None:
    """Events come without recursion, so thousands of brackets cannot overflow the stack."""
    depth = 0
    for event in yaml.parse(head, Loader=_SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH or isinstance(event, yaml.AliasEvent):
            raise CookbookError(
                f"{where}: expected plain lists and `key: value` pairs in the front matter, got "
                f"an alias or more than {_MAX_DEPTH} levels near line "
                f"{_line(event.start_mark)}; write the values out."
            )


def _line(mark: Any) -> int:
    """Line in the file, from 1; the front matter starts on its second line."""
    return int(mark.line) + 2


def _reject_repeated_keys(root: yaml.Node | None, where: str) -> None:
    """YAML keeps the last of two equal keys without a word: a lost dimension or cap."""
    waiting = [root] if root else []
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            if repeated := sorted({key for key in keys if keys.count(key) > 1}):
                raise CookbookError(
                    f"{where}: expected each key of the front matter once, got {repeated[0]} "
                    f"{keys.count(repeated[0])} times (near line {_line(node.start_mark)}); "
                    "delete or rename the others."
                )
            waiting += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def _grades(data: Mapping[str, Any], where: str) -> tuple[GradeLevel, ...]:
    items = _items(data, "grades", where)
    levels = tuple(
        GradeLevel(_whole(item, "value", at), _text(item, "name", at), _text(item, "meaning", at))
        for item, at in items
    )
    values = [level.value for level in levels]
    if values != list(range(len(values))) or len(values) < 2:
        raise CookbookError(
            f"{where}: expected grades 0, 1, 2 ... without a gap, at least two, got {values}; "
            "renumber them."
        )
    return levels


def _dimensions(data: Mapping[str, Any], where: str) -> tuple[Dimension, ...]:
    dimensions = tuple(_dimension(item, at) for item, at in _items(data, "dimensions", where))
    ids = [dimension.id for dimension in dimensions]
    if repeated := sorted({name for name in ids if ids.count(name) > 1}):
        raise CookbookError(
            f"{where}: expected each dimension once, got {repeated[0]} {ids.count(repeated[0])} "
            "times; give each its own id."
        )
    return dimensions


def _dimension(item: Mapping[str, Any], where: str) -> Dimension:
    name = _text(item, "id", where)
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
        raise CookbookError(
            f"{where}: expected an id of capital letters, digits and underscores, such as TITLE, "
            f"got {name!r}; rename it."
        )
    title, question = _text(item, "title", where), _text(item, "question", where)
    return Dimension(name, title, _weight(item, where), question)


def _weight(item: Mapping[str, Any], where: str) -> float:
    weight = item.get("weight")
    if (
        isinstance(weight, int | float)
        and not isinstance(weight, bool)
        and math.isfinite(weight)
        and weight > 0
    ):
        return float(weight)
    raise CookbookError(
        f"{where}: expected a weight above 0, got {_came(item, 'weight')}; write for example "
        "`weight: 0.2`."
    )


def _caps(
    data: Mapping[str, Any], dimensions: set[str], grade_count: int, where: str
) -> tuple[Cap, ...]:
    aggregation = data.get("aggregation", "nothing")
    if not isinstance(aggregation, dict) or aggregation.get("overall") != "weighted_mean":
        raise CookbookError(
            f"{where}: expected an aggregation with `overall: weighted_mean`, got "
            f"{aggregation!r:.80}; write it so, with a list of caps (it may be empty)."
        )
    if surplus := sorted(map(str, aggregation.keys() - {"overall", "caps"})):
        raise CookbookError(
            f"{where}: expected only overall and caps under aggregation, got {surplus[0]}; "
            "mend the key."
        )
    items = _items(aggregation, "caps", where) if aggregation.get("caps") else []
    return tuple(_cap(item, dimensions, grade_count, at) for item, at in items)


def _cap(item: Mapping[str, Any], dimensions: set[str], grade_count: int, where: str) -> Cap:
    dimension = _text(item, "dimension", where)
    if dimension not in dimensions:
        raise CookbookError(
            f"{where}: expected a dimension of this policy ({', '.join(sorted(dimensions))}), "
            f"got {dimension}; mend the cap or declare the dimension."
        )
    limits = _whole(item, "at_most", where), _whole(item, "overall_at_most", where)
    if not all(0 <= limit < grade_count for limit in limits):
        raise CookbookError(
            f"{where}: expected at_most and overall_at_most from 0 to {grade_count - 1}, got "
            f"{limits[0]} and {limits[1]}; use grades of the scale."
        )
    return Cap(dimension, *limits)


def _items(data: Mapping[str, Any], key: str, where: str) -> list[tuple[Mapping[str, Any], str]]:
    listed = data.get(key)
    if not isinstance(listed, list) or not listed:
        raise CookbookError(
            f"{where}: expected a list under `{key}` in the front matter, got "
            f"{_came(data, key)}; add one item a line, each starting with a dash."
        )
    for number, item in enumerate(listed, 1):
        if not isinstance(item, dict):
            raise CookbookError(
                f"{where}: expected `key: value` pairs in item {number} of {key}, got "
                f"{type(item).__name__}; write for example `- {{id: ..., title: ...}}`."
            )
    return [(item, f"{where}, {key} item {number}") for number, item in enumerate(listed, 1)]


def _text(data: Mapping[str, Any], key: str, where: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not value.strip():
        raise CookbookError(
            f"{where}: expected text for `{key}`, got {_came(data, key)}; fill it in "
            '(quote numbers, as in version: "1.0").'
        )
    return value.strip()


def _whole(data: Mapping[str, Any], key: str, where: str) -> int:
    value = data.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise CookbookError(
            f"{where}: expected a whole number for `{key}`, got {_came(data, key)}; fill it in."
        )
    return value


def _came(data: Mapping[str, Any], key: str) -> str:
    return repr(data[key])[:60] if key in data else "nothing"
