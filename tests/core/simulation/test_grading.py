"""The columnwise execution of a policy is the same function as `decide`."""

import numpy as np
import pytest

from tasks.core.decision_tables import decide
from tasks.core.errors import CookbookError
from tasks.core.policy import Policy
from tasks.core.simulation.grading import grade_columns
from tasks.core.simulation.world import World


def test_columns_give_what_decide_gives_pair_by_pair(policy: Policy, world: World) -> None:
    rows = np.random.default_rng(1).permutation(world.log.lists.jobs.size)[:1500]
    query = np.repeat(world.log.lists.query, 10)[rows]
    job = world.log.lists.jobs.reshape(-1)[rows]
    columns = world.facts.columns(query, job)
    found = grade_columns(policy, columns)
    for i in range(len(rows)):
        facts = {name: column[i].item() for name, column in columns.items()}
        decision = decide(policy, facts)
        assert found.grade[i] == decision.grade
        for name, grade in decision.dimension_grades.items():
            assert found.dimensions[name][i] == (-1 if grade is None else grade), name


def test_mean_is_the_weighted_mean_of_the_dimensions_that_apply(
    policy: Policy, world: World
) -> None:
    truth = world.golden.truth
    for row in range(0, len(truth.grade), 97):
        applied = [
            (dimension.weight, int(truth.dimensions[dimension.id][row]))
            for dimension in policy.dimensions
            if truth.dimensions[dimension.id][row] >= 0
        ]
        mean = sum(weight * grade for weight, grade in applied) / sum(w for w, _ in applied)
        assert abs(truth.mean[row] - mean) < 1e-9
        assert truth.grade[row] <= np.floor(mean + 0.5 + 1e-9)


def test_policy_over_facts_the_simulator_lacks_is_refused(policy: Policy, world: World) -> None:
    columns = world.facts.columns(world.golden.query[:5], world.golden.job[:5])
    del columns["posting.vague"]
    with pytest.raises(CookbookError, match=r"facts that the simulator knows, got posting\.vague"):
        grade_columns(policy, columns)
