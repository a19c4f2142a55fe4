"""Shards of random effects on the machines of a Ray cluster; those of a lost one are redone."""

from collections.abc import Callable
from pathlib import Path

from tasks.core.errors import CookbookError
from tasks.core.personalization.random_effect_model import RandomEffectModel
from tasks.core.personalization.sharding import fit_shard, shard_path

TRIES = 5  # machines that may be lost under one shard


def fit_shards_on_ray(
    fit: Callable[[int], RandomEffectModel],
    shards: int,
    folder: Path,
    *,
    key: str,
    address: str,
) -> list[RandomEffectModel]:
    """As `fit_shards`, each missing shard a Ray task with one core.

    `fit` and the rows it holds are sent once and shared by a machine's workers. `folder` must be
    the same place on every machine, and the project be importable there.
    Raises CookbookError if Ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise CookbookError(
            "Shards on Ray need Ray, which is not installed; run `pip install '.[ray]'`, or leave "
            "ray_address out to fit them on threads."
        ) from error
    if not ray.is_initialized():
        ray.init(address=address, log_to_driver=False)
    paths = [shard_path(folder, key, shard, shards) for shard in range(shards)]
    everything = ray.put(fit)
    remote = ray.remote(num_cpus=1, max_retries=TRIES)(_fit_one)
    ray.get(
        [
            remote.remote(everything, shard, path)
            for shard, path in enumerate(paths)
            if not path.exists()
        ]
    )
    return [RandomEffectModel.load(path) for path in paths]


def _fit_one(fit: Callable[[int], RandomEffectModel], shard: int, path: Path) -> None:
    fit_shard(path, lambda: fit(shard))
