"""Sections, fenced blocks and tables of a Markdown document."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt

from tasks.core.errors import CookbookError

_UNESCAPED_PIPE = re.compile(r"(?<!\\)\|")
_RULE_CELL = re.compile(r":?-+:?")


@dataclass(frozen=True)
class Section:
    """A heading and the lines below it, up to the next heading of any level."""

    level: int
    heading: str
    body: str
    fences: tuple[str, ...]
    tables: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class TableRow:
    """One row of a table, by column name; `number` counts from 1 below the header."""

    number: int
    cells: dict[str, str]


def normalize_lines(text: str) -> str:
    """Text with one kind of line end and no trailing spaces, so that a digest ignores both."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).strip("\n") + "\n"


def sections(text: str, fence: str) -> Iterator[Section]:
    """Yield a section per heading; `fences` holds the fenced blocks marked with the word `fence`.

    A heading inside a fenced block, a list or a quotation starts no section.
    """
    lines = text.split("\n")
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    top = [token for token in tokens if token.level == 0 and token.map]
    starts = [index for index, token in enumerate(tokens) if _is_heading(token.type, token.level)]
    for number, index in enumerate(starts):
        first = tokens[index].map
        assert first is not None  # block tokens of markdown-it always carry their lines
        following = tokens[starts[number + 1]].map if number + 1 < len(starts) else None
        end = following[0] if following else len(lines)
        inside = [t for t in top if t.map and first[1] <= t.map[0] < end]
        yield Section(
            level=int(tokens[index].tag[1]),
            heading=tokens[index + 1].content,
            body="\n".join(lines[first[1] : end]).strip("\n"),
            fences=tuple(t.content for t in inside if t.type == "fence" and t.info == fence),
            tables=tuple(
                tuple(lines[t.map[0] : t.map[1]])
                for t in inside
                if t.type == "table_open" and t.map
            ),
        )


def _is_heading(kind: str, level: int) -> bool:
    return kind == "heading_open" and level == 0


def split_table(lines: Sequence[str], where: str) -> tuple[tuple[str, ...], list[TableRow]]:
    r"""Columns and rows of a Markdown table; `\|` is a literal pipe.

    Split here rather than by markdown-it, which drops surplus cells without a word.

    Raises:
        CookbookError: no header, a repeated column, a row with too few or too many cells.
    """
    filled = [line for line in lines if line.strip()]
    if len(filled) < 2 or not all(map(_RULE_CELL.fullmatch, _cells(filled[1]))):
        raise CookbookError(
            f"{where}: expected a table with a header and a line of dashes below it, got "
            f"{len(filled)} lines without; write `| a | b |`, then `| --- | --- |`, then the rows."
        )
    columns = tuple(_cells(filled[0]))
    if len(set(columns)) < len(columns):
        raise CookbookError(
            f"{where}: expected each column of the table once, got {', '.join(columns)}; "
            "rename or delete the repeated column."
        )
    return columns, [
        _row(number, line, columns, where) for number, line in enumerate(filled[2:], 1)
    ]


def _row(number: int, line: str, columns: tuple[str, ...], where: str) -> TableRow:
    cells = _cells(line)
    if len(cells) != len(columns):
        raise CookbookError(
            f"{where}, row {number}: expected {len(columns)} cells, got {len(cells)}; "
            "add or delete cells (write a literal pipe as \\|)."
        )
    return TableRow(number, dict(zip(columns, cells, strict=True)))


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|")
    if inner.endswith("|") and not inner.endswith("\\|"):
        inner = inner[:-1]
    return [cell.strip().replace("\\|", "|") for cell in _UNESCAPED_PIPE.split(inner)]
