"""Guards the group tables against hand arithmetic."""

import numpy as np
import pytest

from tasks.core.errors import CookbookError
from tasks.core.fairness.group_tables import group_tables

SCORES = np.array([0.9, 0.1, 0.8, 0.4])
LABELS = np.array([3.0, 0.0, 0.0, 2.0])
GROUPS = [{"gender": "female"}, {"gender": "female"}, {"gender": "male"}, {"gender": "male"}]


def _table(metric, **options):
    tables = group_tables(SCORES, LABELS, GROUPS, **options)
    (found,) = [table for table in tables if table.metric == metric]
    return found


def test_a_table_holds_each_group_and_their_spread():
    found = _table("demographic_parity")
    assert found.by_group == {"female": pytest.approx(0.5), "male": pytest.approx(0.6)}
    assert found.rows == {"female": 2, "male": 2}
    assert found.difference == pytest.approx(0.1)
    assert found.ratio == pytest.approx(0.5 / 0.6)
    assert found.group_min == pytest.approx(0.5)
    assert found.overall == pytest.approx(0.55)


def test_recall_and_auc_count_from_the_positive_grade():
    assert _table("recall").by_group == {"female": pytest.approx(0.9), "male": pytest.approx(0.4)}
    assert _table("auc").by_group == {"female": 1.0, "male": 0.0}
    assert np.isnan(_table("auc", positive_from=3.0).by_group["male"])


def test_logits_are_refused():
    with pytest.raises(CookbookError, match="calibration"):
        group_tables(SCORES * 4, LABELS, GROUPS)
