"""Fault points: they fire where they are armed, and nowhere else."""

import os
import subprocess
import sys

import pytest

PASS_THREE = (
    "from tasks.core.store.faults import fault_point\n"
    "for _ in range(3):\n    fault_point('{name}')\n    print('passed', flush=True)\n"
)


def passings(name: str, fault: str | None, **more: str) -> tuple[int, int]:
    """How often a point of this name was passed, and the exit code."""
    env = {key: value for key, value in os.environ.items() if key != "COOKBOOK_FAULT"}
    done = subprocess.run(
        [sys.executable, "-c", PASS_THREE.format(name=name)],
        env=env | ({"COOKBOOK_FAULT": fault} if fault else {}) | more,
        text=True,
        capture_output=True,
        check=False,
    )
    return done.stdout.count("passed"), done.returncode


def test_an_unarmed_point_does_nothing() -> None:
    assert passings("after_write", None) == (3, 0)
    assert passings("after_write", "another_point") == (3, 0)


@pytest.mark.parametrize(("fault", "passed"), [("after_write", 0), ("after_write:3", 2)])
def test_an_armed_point_kills_at_the_passing_named(fault: str, passed: int) -> None:
    assert passings("after_write", fault) == (passed, -9)


@pytest.mark.parametrize(("fault", "passed"), [("pairs:after", 0), ("pairs:after:2", 1)])
def test_a_point_may_be_named_by_kind_and_place(fault: str, passed: int) -> None:
    assert passings("pairs:after", fault) == (passed, -9)


def test_an_armed_point_sends_the_signal_named() -> None:
    assert passings("after_write", "after_write:2", COOKBOOK_FAULT_SIGNAL="SIGTERM") == (1, -15)
