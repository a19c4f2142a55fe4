"""The gate orders what one member was offered for one query, and not two members' lists as one."""

import numpy as np

from tasks.promote import _by_query, _ndcg


def test_the_gate_measures_each_member_s_list_of_a_query_by_itself() -> None:
    """All that annie is offered is a better match than all that alice is; both orders are right."""
    rows = [
        {"query_id": "q", "member_id": member, "doc_id": f"d{grade}", "grade": grade}
        for member in ("alice", "annie")
        for grade in range(3)
    ]
    probabilities = np.array(
        [np.eye(5)[row["grade"] + 2 * (row["member_id"] == "annie")] for row in rows]
    )
    assert _by_query(_ndcg(rows, probabilities)) == {"q": 1.0}
