"""The tables of quirks in the docs name tests that exist, so that none is a mere claim."""

import re
from itertools import takewhile
from pathlib import Path

import pytest

from tasks.core.personalization.options import RandomEffectOptions

PROJECT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(("part", "least"), [("personalization", 13), ("fairness", 9)])
def test_every_quirk_of_the_table_has_a_test_of_that_name(part: str, least: int) -> None:
    page = (PROJECT / "docs" / f"{part}.md").read_text(encoding="utf-8")
    lines = page.splitlines()
    marked = next(i for i, line in enumerate(lines) if "without `test_`" in line)
    from_table = lines[next(i for i in range(marked, len(lines)) if lines[i][:1] == "|") :]
    table = list(takewhile(lambda line: line.startswith("|"), from_table))[2:]
    claims = [re.findall(r"`([a-z0-9_]+)`", line.split("|")[-2]) for line in table]
    assert len(table) >= least
    assert all(claims)
    source = "".join(p.read_text() for p in (PROJECT / "tests/core" / part).glob("test_*.py"))
    existing = set(re.findall(r"^def test_(\w+)\(", source, re.MULTILINE))
    assert {name for names in claims for name in names} <= existing


def test_defaults_are_the_documented_ones() -> None:
    """Quirk: GDMix documents other defaults than its code has."""
    usual = RandomEffectOptions()
    assert (usual.task, usual.l2_weight, usual.l1_weight) == ("logistic", 1.0, 0.0)
    assert (usual.intercept, usual.local_features, usual.lower_bound) == ("free", True, 1)
    assert (usual.upper_bound, usual.variances, usual.dtype) == (None, "none", "float64")
