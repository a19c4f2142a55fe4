"""A second round asks for what the first left out, and for nothing else."""

import numpy as np

from tasks.core.labeling.query_aims import aims_at_holes, aims_in_turn

CLAUSES = {"PAY-1": "pay", "PAY-2": "hourly pay", "WORK-1": "work"}
KINDS = ["place", "title", "title+place"]


def test_every_clause_has_its_turn() -> None:
    aims = aims_in_turn(list(CLAUSES.values()), KINDS, 7, np.random.default_rng(0))
    assert [clause for clause, _ in aims] == [*CLAUSES.values(), *CLAUSES.values(), "pay"]
    assert {kind for _, kind in aims} <= set(KINDS)


def test_every_hole_is_asked_for_once_and_nothing_else() -> None:
    holes = ["clause PAY-2", "clause WORK-1", "grade 3", "query kind title"]
    aims = aims_at_holes(CLAUSES, KINDS, holes, 50)
    assert aims == [("hourly pay", "title"), ("work", "title")]


def test_a_kind_alone_is_asked_for_with_any_clause() -> None:
    aims = aims_at_holes(CLAUSES, KINDS, ["query kind place", "query kind title"], 50)
    assert [kind for _, kind in aims] == ["place", "title"]


def test_without_holes_nobody_is_asked() -> None:
    assert aims_at_holes(CLAUSES, KINDS, ["grade 0", "dimension PAY"], 50) == []


def test_no_more_is_asked_than_was_allowed() -> None:
    holes = [f"clause {name}" for name in CLAUSES]
    assert len(aims_at_holes(CLAUSES, KINDS, holes, 2)) == 2
