"""From a policy.md to a Policy."""

import hashlib
import re
from pathlib import Path

from tasks.core.errors import CookbookError
from tasks.core.policies.front_matter import FrontMatter, parse_front_matter, split_front_matter
from tasks.core.policies.markdown import Section, TableRow, normalize_lines, sections, split_table
from tasks.core.policies.model import Clause, Policy, Precedent
from tasks.core.policies.table_syntax import Fact, parse_fact, parse_table

_MAX_BYTES = 4 * 2**20
_CLAUSE_HEADING = re.compile(r"([A-Z][A-Z0-9_]*)-([0-9]+[a-z]?)\s+(\S.*)")
_NOT_APPLICABLE = {"", "-", "n/a"}


def parse_policy(path: Path) -> Policy:
    """Read and check the policy document at `path`.

    Raises:
        CookbookError: the file is missing, not UTF-8, larger than 4 MiB, or breaks the format.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CookbookError(
            f"{path}: expected a policy document, got {error.strerror}; check the path."
        ) from None
    if len(raw) > _MAX_BYTES:
        raise CookbookError(
            f"{path}: expected a policy of at most {_MAX_BYTES} bytes, got {len(raw)}; is it the "
            "right file?"
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CookbookError(
            f"{path}: expected UTF-8 text, got another byte at position {error.start}; save the "
            "file as UTF-8."
        ) from None
    return parse_policy_text(text, str(path))


def parse_policy_text(text: str, where: str) -> Policy:
    """Parse a policy from its text; `where` names it in errors. Trailing spaces do not matter.

    Raises:
        CookbookError: as parse_policy.
    """
    text = normalize_lines(text)
    head_source, body = split_front_matter(text, where)
    head = parse_front_matter(head_source, where)
    parts = _joined(list(sections(body, fence="decide")))
    facts = _facts(parts, where)
    return Policy(
        name=head.name,
        version=head.version,
        unit=head.unit,
        grades=head.grades,
        dimensions=head.dimensions,
        caps=head.caps,
        clauses=_clauses(parts, head, facts, where),
        precedents=_precedents(parts, head, where),
        facts=tuple(facts.values()),
        text=text,
        digest=_digest(text),
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _joined(parts: list[Section]) -> list[Section]:
    """Fold a subheading without an id into the clause or appendix it stands in."""
    joined: list[Section] = []
    for part in parts:
        owner = joined[-1] if joined else None
        if owner and part.level > owner.level and _owns_subheadings(owner) and not _is_clause(part):
            joined[-1] = Section(
                owner.level,
                owner.heading,
                f"{owner.body}\n\n{'#' * part.level} {part.heading}\n\n{part.body}".strip("\n"),
                owner.fences + part.fences,
                owner.tables + part.tables,
            )
        else:
            joined.append(part)
    return joined


def _is_clause(part: Section) -> bool:
    return _CLAUSE_HEADING.fullmatch(part.heading) is not None


def _owns_subheadings(part: Section) -> bool:
    return _is_clause(part) or part.heading in ("Facts", "Precedents")


def _clauses(
    parts: list[Section], head: FrontMatter, facts: dict[str, Fact], where: str
) -> tuple[Clause, ...]:
    clauses: dict[str, Clause] = {}
    dimensions = [dimension.id for dimension in head.dimensions]
    for part in filter(_is_clause, parts):
        clause = _clause(part, dimensions, facts, len(head.grades), where)
        if clause.id in clauses:
            raise CookbookError(
                f"{where}: expected each clause id once, got {clause.id} twice (`{clause.title}` "
                "is the second); give it the next free number."
            )
        clauses[clause.id] = clause
    for dimension in dimensions:
        if all(clause.dimension != dimension for clause in clauses.values()):
            raise CookbookError(
                f"{where}: expected at least one clause for the dimension {dimension}, got none; "
                f"add a heading such as `### {dimension}-1 What counts`."
            )
    return tuple(clauses.values())


def _clause(
    part: Section, dimensions: list[str], facts: dict[str, Fact], grade_count: int, where: str
) -> Clause:
    match = _CLAUSE_HEADING.fullmatch(part.heading)
    assert match is not None  # the caller filters clauses
    dimension, number, title = match.groups()
    clause_id = f"{dimension}-{number}"
    if dimension not in dimensions:
        raise CookbookError(
            f"{where}, clause {clause_id}: expected an id that starts with a dimension "
            f"({', '.join(dimensions)}), got {dimension}; mend the id or declare the dimension."
        )
    text = f"{clause_id} {title}\n\n{part.body}"
    at = f"{where}, clause {clause_id}"
    tables = tuple(parse_table(source, at, facts, grade_count) for source in part.fences)
    return Clause(clause_id, title, dimension, text, _digest(text), tables)


def _facts(parts: list[Section], where: str) -> dict[str, Fact]:
    facts: dict[str, Fact] = {}
    at = f"{where}, ## Facts"
    for part in parts:
        for table in part.tables if part.heading == "Facts" else ():
            columns, rows = split_table(table, at)
            if columns != ("fact", "values", "meaning"):
                raise CookbookError(
                    f"{at}: expected the columns fact, values and meaning, got "
                    f"{', '.join(columns)}; rename the columns."
                )
            for row in rows:
                name, values, meaning = row.cells.values()
                fact = parse_fact(name, values, meaning, f"{at}, row {row.number}")
                if fact.name in facts:
                    raise CookbookError(
                        f"{at}: expected each fact once, got {fact.name} twice; delete one row."
                    )
                facts[fact.name] = fact
    return facts


def _precedents(parts: list[Section], head: FrontMatter, where: str) -> tuple[Precedent, ...]:
    at = f"{where}, ## Precedents"
    precedents: list[Precedent] = []
    for part in parts:
        for table in part.tables if part.heading == "Precedents" else ():
            columns, rows = split_table(table, at)
            pair_column = _pair_column(columns, [d.id for d in head.dimensions], at)
            precedents += [_precedent(row, pair_column, head, at) for row in rows]
    return tuple(precedents)


def _pair_column(columns: tuple[str, ...], dimensions: list[str], where: str) -> str:
    expected = {"query", "grade", "clauses", *(f"dim_{name}" for name in dimensions)}
    surplus = [column for column in columns if column not in expected]
    if expected - set(columns) or len(surplus) != 1 or surplus[0].startswith("dim_"):
        missing = sorted(expected - set(columns))
        raise CookbookError(
            f"{where}: expected the columns query, one for the pair (any name), "
            f"{', '.join(f'dim_{name}' for name in dimensions)}, grade and clauses, got "
            f"{', '.join(columns)} (missing: {', '.join(missing) or 'none'}); mend the header."
        )
    return surplus[0]


def _precedent(row: TableRow, pair_column: str, head: FrontMatter, where: str) -> Precedent:
    at, cells, top = f"{where}, row {row.number}", row.cells, len(head.grades) - 1
    grades = {
        d.id: None
        if cells[f"dim_{d.id}"] in _NOT_APPLICABLE
        else _grade(cells[f"dim_{d.id}"], top, f"{at}, dim_{d.id}")
        for d in head.dimensions
    }
    clauses = tuple(name.strip() for name in cells["clauses"].split(","))
    if not cells["query"] or not cells[pair_column] or not all(clauses):
        raise CookbookError(
            f"{at}: expected a query, a {pair_column} and at least one clause id, got "
            f"{cells['query']!r}, {cells[pair_column]!r} and {cells['clauses']!r}; fill them in."
        )
    if all(grade is None for grade in grades.values()):
        raise CookbookError(
            f"{at}: expected at least one dimension with a grade, got none; a precedent where "
            "nothing applies teaches nothing."
        )
    grade = _grade(cells["grade"], top, f"{at}, grade")
    return Precedent(cells["query"], cells[pair_column], grades, grade, clauses)


def _grade(cell: str, top: int, where: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", cell) or int(cell) > top:
        raise CookbookError(
            f"{where}: expected a grade from 0 to {top}, or a dash for a dimension that does not "
            f"apply, got {cell!r}; mend the cell."
        )
    return int(cell)
