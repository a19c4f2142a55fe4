"""What steps read of each other: lists of candidates are compared within one member's asking."""

import numpy as np

from tasks.exchange import asking_numbers, order_of

ROWS = [
    {"query_id": query, "member_id": member, "bm25": bm25, "cosine": 0.0}
    for query, member, bm25 in (
        ("nurse", "m1", 4.0),
        ("nurse", "m0", 1.0),
        ("nurse", "m1", 2.0),
        ("nurse", None, 3.0),
        ("baker", "m0", 5.0),
        ("nurse", "m0", 0.5),
    )
]


def test_one_query_of_two_members_is_two_lists() -> None:
    assert asking_numbers(ROWS).tolist() == [3, 2, 3, 1, 0, 2]
    assert asking_numbers([]).shape == (0,)


def test_words_are_a_share_of_the_best_of_the_members_own_list() -> None:
    """Another member's best document would make this one's small."""
    shares = order_of(ROWS) / order_of(ROWS).max()
    np.testing.assert_allclose(shares, [1.0, 1.0, 0.5, 1.0, 1.0, 0.5])
