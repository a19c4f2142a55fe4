"""The step `personalize`: what it cannot test it does not serve, and says so."""

from pathlib import Path
from typing import Any

from tasks.core.tables import columns_of, write_table
from tasks.exchange import IMPRESSIONS, Domain
from tasks.personalize import UNTOLD, personalize
from tasks.run import open_run
from tasks.settings import BaseModelSettings, PersonalizationSettings
from tests.test_distill import made


def test_effects_that_later_rows_cannot_test_are_not_fitted(tmp_path: Path) -> None:
    """Areas under the curve without a click are no numbers: the run ended in a traceback."""
    rows = [
        {"pair_id": f"p{n}", "query_id": "q", "query": "nurse", "member_id": "m0"}
        | {"doc_id": f"d{n % 4}", "clicked": int(n < 20 and n % 4 == 0), "timestamp": 1e9 + n}
        | {"use": "personalize" if n < 20 else "later", "weight": 1.0}
        for n in range(30)
    ]
    step: Any = personalize
    base = BaseModelSettings(source="random_encoder", name="tiny")
    with open_run(tmp_path, "toy") as run:
        log = made("impressions", lambda out: write_table(out / IMPRESSIONS, columns_of(rows)))
        domain = Domain(log, log, log, None, log, None)
        found = step.fn(domain, log, log, log, base, PersonalizationSettings())
    assert found is None
    assert [one["reason"] for one in run.skipped] == [UNTOLD]
