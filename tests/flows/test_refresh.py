"""The daily refresh, through the flow, on a store that a smoke run left behind."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tasks.core.personalization.effects import Effects
from tasks.core.store.files import file_sha256
from tasks.core.store.registry import Registry
from tests.flows.smoke import PROJECT, environment, report_of, smoke_run

pytestmark = pytest.mark.slow

REFRESH = """
import json, sys
from pathlib import Path
from flows.local_server import hide_run_logs, prefect_server
from flows.profiles import changed, smoke

root, store, changes = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
settings = smoke()
settings = changed(settings, refresh=changed(settings.refresh, **changes))
with prefect_server():
    from flows.personalize import refresh

    hide_run_logs()
    print(json.dumps(refresh(settings, "smoke", "job_search", root, store)))
"""


@pytest.fixture(scope="module")
def own_store(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished store, to be changed by this module alone."""
    copy = tmp_path_factory.mktemp("refreshed") / "runs"
    shutil.copytree(store, copy, symlinks=True)
    return copy


def refresh(root: Path, store: Path, **changes: Any) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", REFRESH, str(root), str(store), json.dumps(changes)],
        env=environment(root.parent / "prefect"),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def registry_of(store: Path) -> Registry:
    return Registry(store / "job_search" / "registry")


def test_too_few_new_impressions_change_nothing(root: Path, own_store: Path) -> None:
    found = refresh(root, own_store, minimum_rows=1_000_000)
    assert found["decision"] == "skipped"
    assert "a refresh needs 1,000,000" in found["reasons"][0]
    assert registry_of(own_store).versions() == ["v0001"]


def test_new_effects_serve_with_the_same_scorer_and_the_run_does_not_undo_them(
    root: Path, own_store: Path
) -> None:
    before = registry_of(own_store).current()
    assert before is not None
    found = refresh(root, own_store, margin_auc=1.0)
    served = registry_of(own_store).current()
    assert served is not None
    assert (found["decision"], found["version"], served.version) == ("promoted", "v0002", "v0002")
    scorer = {p.name: file_sha256(p) for p in served.file("scorer").iterdir()}
    assert scorer == {p.name: file_sha256(p) for p in before.file("scorer").iterdir()}
    old, new = (Effects.load(model.file("effects")) for model in (before, served))
    assert new.learned_until > old.learned_until
    assert served.card["scorer_of"] == "v0001"
    assert served.card["refresh"]["gain"] == found["gain"]
    again = smoke_run(root, own_store)
    assert again.returncode == 0, again.stderr[-3000:]
    assert report_of(own_store)["promotion"]["reasons"] == [
        "This model is in service already: nothing changed."
    ]
    now = registry_of(own_store).current()
    assert now is not None
    assert now.version == "v0002"
