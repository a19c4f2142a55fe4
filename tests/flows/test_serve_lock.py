"""Two `cookbook serve` of one Prefect home would end each other's runs: the second is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.local_server import prefect_server_with_ui
from flows.places import STORE_VARIABLE
from flows.serve_lock import LOCK, sole_serve
from tasks.core.errors import CookbookError
from tests.flows.smoke import PROJECT

HOLD = """
import sys
from pathlib import Path
from flows.serve_lock import sole_serve

with sole_serve(Path(sys.argv[1]), "http://127.0.0.1:4200"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_serve_starts_nothing_and_says_who_serves_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "runs"
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        env={**os.environ, STORE_VARIABLE: str(store)},
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"
    with pytest.raises(CookbookError) as refused, prefect_server_with_ui(4299):
        pytest.fail("a second server started")
    for part in (str(first.pid), str(store), "http://127.0.0.1:4200", "PREFECT_HOME="):
        assert part in str(refused.value)
    first.kill()
    first.communicate()
    with sole_serve(tmp_path, "http://127.0.0.1:4299"):
        pass  # a killed one leaves no lock behind


def test_another_home_is_free(tmp_path: Path) -> None:
    with sole_serve(tmp_path / "one", "a"), sole_serve(tmp_path / "two", "b"):
        held = [json.loads(path.read_text())["address"] for path in sorted(tmp_path.rglob(LOCK))]
    assert held == ["a", "b"]
