"""``make check`` fails over a known vulnerability, and says so where none could be looked up."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
# In place of pip-audit, whose database is on the network: writes $REPLY to --output, and ends so.
AUDIT = """#!/bin/sh
while [ "$1" != --output ]; do shift; done
[ -z "$REPLY" ] || printf %s "$REPLY" > "$2"
exit "$CODE"
"""
SAFE = {"name": "numpy", "version": "2.2.6", "vulns": []}
BROKEN = {"name": "idna", "version": "3.1", "vulns": [{"id": "PYSEC-2024-60"}]}

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="NOT RUN: there is no make")


def checked(
    folder: Path, packages: Sequence[Mapping[str, object]] | None, code: int
) -> tuple[int, str]:
    """Exit code and words of ``make check``, where lint and types have nothing to say."""
    shutil.copy(PROJECT / "Makefile", folder)
    tools = ("bin/ruff", "bin/mypy", "bin/lint-imports", "bin/python", ".installed")
    texts = {folder / "venv" / name: "#!/bin/sh\n" for name in tools}
    texts[folder / ".audit/bin/pip-audit"] = AUDIT
    for name in ("pyproject.toml", "constraints.txt"):
        (folder / name).touch()
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o700)
    reply = "" if packages is None else json.dumps({"dependencies": packages, "fixes": []})
    done = subprocess.run(
        ["make", "check", "VENV=venv", f"PYTHON={sys.executable}"],
        cwd=folder,
        env={**os.environ, "REPLY": reply, "CODE": str(code)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_vulnerability_fails_the_check_and_is_named(tmp_path: Path) -> None:
    code, said = checked(tmp_path, [SAFE, BROKEN], 1)
    assert code != 0
    assert "VULNERABLE: idna 3.1 PYSEC-2024-60" in said
    assert "NOT AUDITED" not in said


def test_no_vulnerability_is_no_word(tmp_path: Path) -> None:
    code, said = checked(tmp_path, [SAFE], 0)
    assert code == 0, said
    assert "VULNERABLE" not in said
    assert "NOT AUDITED" not in said


def test_a_database_out_of_reach_is_told_and_fails_nothing(tmp_path: Path) -> None:
    # What was found by an audit of before says nothing of today.
    checked(tmp_path, [BROKEN], 1)
    code, said = checked(tmp_path, None, 1)
    assert code == 0, said
    assert "NOT AUDITED" in said
    assert "VULNERABLE" not in said
