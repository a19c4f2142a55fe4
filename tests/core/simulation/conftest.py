"""One small world for all tests of the simulator."""

from pathlib import Path

import pytest

from tasks.core.policy import Policy, parse_policy
from tasks.core.simulation.simulate import simulate
from tasks.core.simulation.world import World

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def policy() -> Policy:
    return parse_policy(ROOT / "policy" / "job_search" / "policy.md")


@pytest.fixture(scope="session")
def world(policy: Policy) -> World:
    return simulate(policy, seed=7, scale=0.25)
