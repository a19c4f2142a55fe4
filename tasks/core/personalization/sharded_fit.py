"""A coordinate fitted shard by shard: a killed run goes on with the shards that it lacks."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.core.errors import CookbookError
from tasks.core.personalization.design import Features
from tasks.core.personalization.entities import Ids, group_rows, to_strings
from tasks.core.personalization.options import RandomEffectOptions
from tasks.core.personalization.random_effect_model import RandomEffectModel
from tasks.core.personalization.random_effects import fit_random_effect
from tasks.core.personalization.ray_shards import fit_shards_on_ray
from tasks.core.personalization.sharding import (
    ShardAssignment,
    fit_shards,
    merge_shards,
    shard_entities,
)

Fit = Callable[..., RandomEffectModel]
Models = dict[str, RandomEffectModel | None]


@dataclass(frozen=True)
class ShardedFit:
    """Stands in for `fit_random_effect`, with the same result.

    shards: parts that the entities are split into, by work; folder: where the parts lie until the
    run is through; run: what fits them all, on threads unless it is `fit_shards_on_ray`.
    """

    shards: int
    folder: Path
    run: Callable[..., list[RandomEffectModel]] = fit_shards

    def __call__(
        self,
        entity_ids: Ids,
        features: Features,
        labels: npt.ArrayLike,
        *,
        row_ids: Ids,
        options: RandomEffectOptions,
        feature_names: Sequence[str],
        offsets: npt.ArrayLike | None = None,
        weights: npt.ArrayLike | None = None,
        warm_start: RandomEffectModel | None = None,
        prior: RandomEffectModel | None = None,
        start: RandomEffectModel | None = None,
    ) -> RandomEffectModel:
        """Fit every entity's model, those of a shard that has its file excepted.

        Raises CookbookError with a normalization, which looks at the rows of all entities.
        """
        if options.normalization != "none":
            raise CookbookError(
                f"Shards see their own rows alone, and normalization {options.normalization!r} "
                "looks at all; scale the features first, or fit without shards."
            )
        given = {"offsets": offsets, "weights": weights}
        rows: dict[str, Any] = {k: np.asarray(v) for k, v in given.items() if v is not None}
        rows |= {"features": features, "labels": np.asarray(labels)}
        ids = {"entity_ids": to_strings(entity_ids), "row_ids": to_strings(row_ids)}
        models = {"warm_start": warm_start, "prior": prior, "start": start}
        grouped = group_rows(ids["entity_ids"])
        assignment = shard_entities(
            grouped.entity_ids, grouped.counts, self.shards, seed=options.seed
        )
        rest = {"options": options, "feature_names": tuple(feature_names)}
        cut = _Cut(assignment, ids, rows, models, rest)
        return merge_shards(self.run(cut, self.shards, self.folder, key=cut.digest()))


def fit_in_shards(
    shards: int, folder: Path, *, threads: int = 1, ray_address: str | None = None
) -> Fit:
    """What fits a coordinate: with one shard at once and without files, which is fastest."""
    if shards == 1:
        return fit_random_effect
    if ray_address is None:
        return ShardedFit(shards, folder, partial(fit_shards, threads=threads))
    return ShardedFit(shards, folder, partial(fit_shards_on_ray, address=ray_address))


@dataclass(frozen=True)
class _Cut:
    """Everything a coordinate's fit sees; called with a shard's number, it fits that shard.

    It holds no open file and no function, so that it can be sent to another machine.
    """

    assignment: ShardAssignment
    ids: Mapping[str, pa.StringArray]
    rows: Mapping[str, Any]
    models: Models
    rest: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, shard: int) -> RandomEffectModel:
        own = np.flatnonzero(self.assignment.shard_of(self.ids["entity_ids"]) == shard)
        arguments: dict[str, Any] = dict(self.rest)
        arguments |= {name: ids.take(pa.array(own)) for name, ids in self.ids.items()}
        arguments |= {name: values[own] for name, values in self.rows.items()}
        arguments |= {name: self._part(model, shard) for name, model in self.models.items()}
        return fit_random_effect(**arguments)

    def _part(self, model: RandomEffectModel | None, shard: int) -> RandomEffectModel | None:
        if model is None:
            return None
        return model.take(np.flatnonzero(self.assignment.shard_of(model.entity_ids) == shard))

    def digest(self) -> str:
        """16 hex digits of all inputs: other inputs, such as the next pass's, have other files."""
        found = hashlib.sha256(repr((self.rest, self.assignment.shards)).encode())
        for ids in self.ids.values():
            found.update("\0".join(ids.to_pylist()).encode())
        for name, values in self.rows.items():
            found.update(name.encode())
            dense = isinstance(values, np.ndarray)
            parts = [values] if dense else [values.data, values.indices, values.indptr]
            _add(found, parts)
        for name, model in self.models.items():
            found.update(name.encode())
            if model is not None:
                found.update(repr(model.feature_names).encode())
                found.update("\0".join(model.entity_ids.to_pylist()).encode())
                arrays: list[Any] = [model.intercepts, model.starts, model.columns, model.values]
                _add(found, [*arrays, model.intercept_variances, model.variances])
        return found.hexdigest()[:16]


def _add(found: "hashlib._Hash", arrays: Sequence[Any]) -> None:
    for array in arrays:
        if array is not None:
            found.update(repr((array.shape, array.dtype.str)).encode())
            found.update(np.ascontiguousarray(array).tobytes())
