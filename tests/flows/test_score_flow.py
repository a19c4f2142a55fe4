"""A file of scores that is written is a scoring that ended well, whatever can be shown of it."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from flows.places import STORE_VARIABLE
from flows.score import score
from tasks.core.drift import Drift
from tasks.core.errors import CookbookError
from tasks.core.store.registry import Registry

MODULE = "flows.score"


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Events of a scoring whose model is a stand-in, while Prefect's server is away."""
    monkeypatch.setenv(STORE_VARIABLE, str(tmp_path))
    (tmp_path / "scorer.json").write_text("{}")
    registry = Registry(tmp_path / "jobs" / "registry")
    version = registry.register({"scorer.json": tmp_path / "scorer.json"}, {})
    served = registry.promote(version, reason="first", by="test")
    events: list[str] = []
    monkeypatch.setattr(f"{MODULE}.open_model", lambda _: served)
    for name in ("domain_catalog", "find_domain"):
        monkeypatch.setattr(f"{MODULE}.{name}", lambda *_: None)
    monkeypatch.setattr(f"{MODULE}.score_file", _three_scores)
    for name in ("create_markdown_artifact", "create_table_artifact"):
        monkeypatch.setattr(f"{MODULE}.{name}", _away)
    monkeypatch.setattr(f"{MODULE}.tell", lambda kind, *_: events.append(kind))
    return events


def _three_scores(model: object, source: Path, target: Path, *_: object) -> int:
    target.write_text("3 scores")
    return 3


def _away(*_: Any, **__: Any) -> None:
    raise httpx.ConnectError("no server")


def test_a_server_that_is_away_fails_no_scoring_and_hides_no_drift(
    told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarming = Drift(figure="relevance", psi=0.5, p_value=0.001, drifted=True)
    monkeypatch.setattr(f"{MODULE}.drift_of_file", lambda *_: [alarming])
    assert score.fn(domain="jobs") == 3
    assert told == ["drift"]
    folder = tmp_path / "jobs" / "scoring"
    assert (folder / "scores.jsonl").read_text() == "3 scores"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_drift_that_cannot_be_measured_is_told(
    told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise CookbookError("no traffic is kept")

    monkeypatch.setattr(f"{MODULE}.drift_of_file", fails)
    assert score.fn(domain="jobs") == 3
    assert told == ["drift-not-measured"]
