"""A second round asks for what the first left out, and for nothing else."""

import numpy as np

from tasks.core.labeling.query_aims import aims_at_holes, aims_in_turn, lasting_draws

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


def test_a_new_id_takes_its_share_of_draws_and_one_that_goes_frees_its_own_alone() -> None:
    """What was paid for about the others is not asked again."""
    ids = [f"d{number}" for number in range(50)]
    before, more = lasting_draws(ids, 500, [7, 0]), lasting_draws([*ids, "new"], 500, [7, 0])
    assert {new for old, new in zip(before, more, strict=True) if old != new} == {"new"}
    assert 1 <= more.count("new") <= 30  # 500 / 51 is 9.8, a share that varies by a quarter
    less = lasting_draws(ids[1:], 500, [7, 0])
    assert {old for old, new in zip(before, less, strict=True) if old != new} == {"d0"}


def test_every_id_has_its_chance_and_draws_differ_by_seed_and_go_on_where_fewer_ended() -> None:
    ids = [f"d{number}" for number in range(5)]
    drawn = lasting_draws(ids, 2000, [7, 0])
    # 400 each on average; 16 points of a ring make a share that varies by a quarter.
    assert all(150 < drawn.count(one) < 700 for one in ids)
    assert lasting_draws(ids, 2000, [7, 1]) != drawn
    assert lasting_draws(ids, 100, [7, 0]) == drawn[:100]
