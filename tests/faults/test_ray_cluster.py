"""Shards of random effects on a Ray cluster of several nodes, one of which is killed at work."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.core.personalization.coordinate_descent import coordinate_descent
from tasks.core.personalization.game_model import GameModel, RandomEffect
from tasks.core.personalization.options import RandomEffectOptions
from tasks.core.personalization.random_effect_model import RandomEffectModel
from tasks.core.personalization.ray_shards import fit_shards_on_ray
from tasks.core.personalization.rows import Rows
from tasks.core.personalization.sharded_fit import ShardedFit
from tests.core.personalization.simulated_clicks import simulate_clicks

ray = pytest.importorskip("ray", reason="NOT RUN: needs Ray (`make test-faults` installs it)")
cluster_utils = pytest.importorskip("ray.cluster_utils")

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(1200),
    pytest.mark.filterwarnings("default"),  # Ray leaves sockets and threads to the collector
]
SHARDS, NODES, PATIENCE = 6, 3, 500


@dataclass(frozen=True)
class HeldUntilTheKill:
    """Fits a shard; first tries wait until a node was killed, and on that node for ever."""

    fit: Callable[[int], RandomEffectModel]
    folder: Path

    def __call__(self, shard: int) -> RandomEffectModel:
        tries = self.folder / f"tries_{shard}"
        first, node = not tries.exists(), ray.get_runtime_context().get_node_id()
        with tries.open("a") as file:
            file.write(f"{node}\n")
        killed = self.folder / "killed"
        while first and (not killed.exists() or killed.read_text() == node):
            time.sleep(0.05)
        return self.fit(shard)


@pytest.fixture
def cluster() -> Iterator[tuple[Any, dict[str, Any]]]:
    """A head that works on nothing, and nodes of one core each by their ids."""
    started = cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    nodes = [started.add_node(num_cpus=1) for _ in range(NODES)]
    ray.init(address=started.address, log_to_driver=False)
    yield started, {node.node_id: node for node in nodes}
    ray.shutdown()
    started.shutdown()


def tries_in(folder: Path) -> dict[int, list[str]]:
    """Nodes that began each shard, in order."""
    found = folder.glob("tries_*")
    return {int(path.name.split("_")[1]): path.read_text().split() for path in found}


def busy_node(folder: Path, fitting: "Future[GameModel]") -> str:
    """A node that is at work on a shard; fails as the fit does, instead of waiting on."""
    deadline = time.monotonic() + PATIENCE
    while not (tries := [node for nodes in tries_in(folder).values() for node in nodes]):
        assert time.monotonic() < deadline
        if fitting.done():
            fitting.result()
        time.sleep(0.1)
    return tries[0]


def test_a_killed_nodes_shards_are_redone_elsewhere_and_no_bit_changes(
    cluster: tuple[Any, dict[str, Any]], tmp_path: Path
) -> None:
    started, nodes = cluster
    log = simulate_clicks([30] * 200, seed=3)
    ids = [f"row_{number}" for number in range(len(log.members))]
    rows = Rows(ids, log.labels, {"x": log.features}, {"member": log.members})
    options = RandomEffectOptions(intercept="penalized", variances="full")
    game = (RandomEffect("per_member", "member", "x", options),)

    def on_the_cluster(fit: Any, shards: int, folder: Path, *, key: str) -> Any:
        held = HeldUntilTheKill(fit, tmp_path)
        return fit_shards_on_ray(held, shards, folder, key=key, address=started.address)

    sharded = ShardedFit(SHARDS, tmp_path / "shards", on_the_cluster)
    with ThreadPoolExecutor(1) as pool:
        fitting = pool.submit(coordinate_descent, rows, game, fit=sharded)
        gone = busy_node(tmp_path, fitting)
        started.remove_node(nodes[gone], allow_graceful=False)
        (tmp_path / "gone").write_text(gone)
        (tmp_path / "gone").rename(tmp_path / "killed")
        found = fitting.result(timeout=PATIENCE).models["per_member"]
    tries = tries_in(tmp_path)
    redone = {shard: begun for shard, begun in tries.items() if len(begun) > 1}
    assert sorted(tries) == [*range(SHARDS)]
    assert any(begun[0] == gone for begun in redone.values())
    assert all(begun[-1] != gone for begun in tries.values())
    whole = coordinate_descent(rows, game).models["per_member"]
    assert found.entity_ids.equals(whole.entity_ids)
    for part in ("intercepts", "columns", "values", "variances"):
        np.testing.assert_array_equal(getattr(found, part), getattr(whole, part))
