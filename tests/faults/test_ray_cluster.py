"""Shards of random effects on a Ray cluster of several nodes, one of which is killed at work."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.core.personalization.random_effects import fit_random_effect
from tasks.core.personalization.sharding import (
    fit_shard,
    merge_shards,
    shard_entities,
    shard_path,
)
from tests.core.personalization.simulated_clicks import ClickLog, simulate_clicks

ray = pytest.importorskip("ray", reason="NOT RUN: needs `pip install ray` (extra `ray`)")
cluster_utils = pytest.importorskip("ray.cluster_utils")

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]
SHARDS = 8


def one_shard(log: ClickLog, owner: Any, shard: int, folder: Path) -> str:
    """Fit one shard to its file; the first try of each takes long enough to be killed in."""
    tried = folder / f"tried_{shard}"
    first = not tried.exists()
    tried.touch()
    if first:
        time.sleep(3)
    own = owner == shard
    fit_shard(
        shard_path(folder, "inputs", shard, SHARDS),
        lambda: fit_random_effect(np.array(log.members)[own], log.features[own], log.labels[own]),
    )
    return str(ray.get_runtime_context().get_node_id())


@pytest.fixture
def cluster(tmp_path: Path) -> Any:
    started = cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    nodes = [started.add_node(num_cpus=2) for _ in range(3)]
    ray.init(address=started.address, log_to_driver=False)
    yield started, nodes
    ray.shutdown()
    started.shutdown()


def test_a_killed_node_costs_its_shards_again_and_changes_nothing(
    cluster: Any, tmp_path: Path
) -> None:
    started, nodes = cluster
    log = simulate_clicks([30] * 400, seed=3)
    ids, counts = np.unique(log.members, return_counts=True)
    owner = shard_entities(ids, counts, SHARDS).shard_of(log.members)
    remote = ray.remote(num_cpus=1, max_retries=5)(one_shard)
    running = [remote.remote(log, owner, shard, tmp_path) for shard in range(SHARDS)]
    while len(list(tmp_path.glob("tried_*"))) < 5:  # every node is at work
        time.sleep(0.05)
    gone = nodes[0].node_id
    started.remove_node(nodes[0], allow_graceful=False)
    worked = ray.get(running, timeout=300)
    assert gone not in worked
    assert len(set(worked)) == 2
    paths = [shard_path(tmp_path, "inputs", shard, SHARDS) for shard in range(SHARDS)]
    models = [fit_shard(path, _never) for path in paths]
    whole = fit_random_effect(log.members, log.features, log.labels)
    np.testing.assert_allclose(merge_shards(models).dense(), whole.dense(), atol=1e-9)


def _never() -> Any:
    raise AssertionError("every shard has its file")
