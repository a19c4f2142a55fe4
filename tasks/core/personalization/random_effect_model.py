"""The models of one coordinate: one set of coefficients per entity, scored and kept as Arrow."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.core.errors import CookbookError
from tasks.core.personalization.compiled import compiled
from tasks.core.personalization.convergence import PER_ENTITY, ConvergenceReport
from tasks.core.personalization.design import Features
from tasks.core.personalization.entities import Ids, find_entities

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Coefficients:
    """One entity's model, by feature name; variances where the fit asked for them."""

    intercept: float
    values: dict[str, float]
    intercept_variance: float | None
    variances: dict[str, float] | None


@dataclass(frozen=True)
class RandomEffectModel:
    """Coefficients by entity, each on the features the entity has.

    Entity e of the sorted `entity_ids` (E,) has `values[starts[e]:starts[e + 1]]` on the feature
    numbers `columns` of the same places. `intercepts` (E,) stand apart, 0 where absent. The
    variances, if any, are laid out alike.
    """

    feature_names: tuple[str, ...]
    task: str
    entity_ids: pa.StringArray
    intercepts: Array
    starts: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int32]
    values: Array
    report: ConvergenceReport
    intercept_variances: Array | None = None
    variances: Array | None = None

    def score(
        self, entity_ids: Ids, features: Features, feature_names: Sequence[str] | None = None
    ) -> Array:
        """Scores (n,) of this coordinate alone, to be added to the offset.

        An entity without a model scores 0, so the offset passes through unchanged.
        features: (n, d), in the order of `feature_names`; without them, in the model's own order.
        Raises CookbookError on another width.
        """
        if feature_names is not None and tuple(feature_names) != self.feature_names:
            return self._renamed(tuple(feature_names)).score(entity_ids, features)
        self._check_width(features, len(entity_ids))
        entities = find_entities(entity_ids, self.entity_ids)
        scores = np.zeros(len(entities))
        model = (self.intercepts, self.starts, self.columns, self.values)
        if isinstance(features, np.ndarray):
            _score_dense(features, entities, *model, scores)
        else:
            width = features.shape[1]
            parts = (features.indptr.astype(np.int64), features.indices, features.data, width)
            _score_sparse(*parts, entities, *model, scores)
        return scores

    def _renamed(self, names: tuple[str, ...]) -> "RandomEffectModel":
        """The same model on the columns of `names`; features that are not there are left out."""
        numbers = {name: j for j, name in enumerate(names)}
        columns = np.array([numbers.get(name, -1) for name in self.feature_names], np.int32)
        moved = columns[self.columns]
        there = np.zeros(len(moved) + 1, np.int64)
        np.cumsum(moved >= 0, out=there[1:])
        return replace(
            self, feature_names=names, starts=there[self.starts], columns=moved[moved >= 0],
            values=self.values[moved >= 0], variances=None, intercept_variances=None,
        )  # fmt: skip

    def _check_width(self, features: Features, rows: int) -> None:
        if features.shape != (rows, len(self.feature_names)):
            raise CookbookError(
                f"Expected features of shape ({rows}, {len(self.feature_names)}), one column per "
                f"feature of the model, got {features.shape}; build them as for training."
            )

    def coefficients(self, entity_id: str) -> Coefficients | None:
        """The model of one entity, or None if it has none."""
        entity = int(find_entities([entity_id], self.entity_ids)[0])
        if entity < 0:
            return None
        own = slice(int(self.starts[entity]), int(self.starts[entity + 1]))
        names = [self.feature_names[column] for column in self.columns[own]]
        spread = None if self.variances is None else self.variances[own].tolist()
        known = self.intercept_variances
        return Coefficients(
            float(self.intercepts[entity]),
            dict(zip(names, self.values[own].tolist(), strict=True)),
            None if known is None else float(known[entity]),
            None if spread is None else dict(zip(names, spread, strict=True)),
        )

    def take(self, entities: npt.NDArray[np.int64]) -> "RandomEffectModel":
        """The model of some entities alone, by ascending place; counts of the report stay."""
        sizes = np.diff(self.starts)[entities]
        starts = np.zeros(len(entities) + 1, np.int64)
        np.cumsum(sizes, out=starts[1:])
        places = np.arange(starts[-1]) + np.repeat(self.starts[entities] - starts[:-1], sizes)
        spread, own = self.variances, self.intercept_variances
        columns: dict[str, Any] = {
            name: getattr(self.report, name)[entities] for name in PER_ENTITY
        }
        return replace(
            self, entity_ids=self.entity_ids.take(pa.array(entities)),
            intercepts=self.intercepts[entities], starts=starts, columns=self.columns[places],
            values=self.values[places], report=replace(self.report, **columns),
            variances=None if spread is None else spread[places],
            intercept_variances=None if own is None else own[entities],
        )  # fmt: skip

    def dense(self) -> Array:
        """All coefficients (E, d) in the order of `entity_ids` and `feature_names`."""
        matrix = np.zeros((len(self.entity_ids), len(self.feature_names)))
        owner = np.repeat(np.arange(len(self.entity_ids)), np.diff(self.starts))
        matrix[owner, self.columns] = self.values
        return matrix

    def save(self, path: Path) -> None:
        """Write one uncompressed Arrow file, sorted by entity: a lookup reads a few of its pages.

        Equal models give equal bytes.
        """
        report = self.report
        columns: dict[str, pa.Array] = {
            "entity_id": self.entity_ids,
            "intercept": pa.array(self.intercepts),
            "columns": pa.LargeListArray.from_arrays(self.starts, self.columns),
            "values": pa.LargeListArray.from_arrays(self.starts, self.values),
        }
        if self.variances is not None:
            columns["intercept_variance"] = pa.array(self.intercept_variances)
            columns["variances"] = pa.LargeListArray.from_arrays(self.starts, self.variances)
        for name in PER_ENTITY:
            columns[name] = pa.array(getattr(report, name))
        header = {
            "feature_names": self.feature_names,
            "task": self.task,
            "report": {name: getattr(report, name) for name in _COUNTS},
        }
        batch = pa.RecordBatch.from_pydict(columns)
        schema = batch.schema.with_metadata({"random_effect": json.dumps(header, sort_keys=True)})
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            writer.write_batch(batch.cast(schema))

    @classmethod
    def load(cls, path: Path) -> "RandomEffectModel":
        """Open a saved model by memory map: nothing is read until it is looked up."""
        if not path.is_file():
            raise CookbookError(f"Expected a random-effect model at {path}, found no such file.")
        table = pa.ipc.open_file(pa.memory_map(str(path)))
        header = json.loads((table.schema.metadata or {})[b"random_effect"])
        batch = table.get_batch(0)
        spread = "variances" in batch.schema.names
        arrays = {
            name: batch[name].to_numpy(zero_copy_only=name not in _FLAGS) for name in PER_ENTITY
        }
        return cls(
            feature_names=tuple(header["feature_names"]),
            task=header["task"],
            entity_ids=batch["entity_id"],
            intercepts=batch["intercept"].to_numpy(),
            starts=batch["columns"].offsets.to_numpy(),
            columns=batch["columns"].values.to_numpy(),
            values=batch["values"].values.to_numpy(),
            report=ConvergenceReport(**header["report"], **arrays),
            intercept_variances=batch["intercept_variance"].to_numpy() if spread else None,
            variances=batch["variances"].values.to_numpy() if spread else None,
        )


_FLAGS = ("converged", "single_class")  # Arrow keeps these as bits, NumPy as bytes
_COUNTS = tuple(f.name for f in fields(ConvergenceReport) if f.name not in PER_ENTITY)


@compiled
def _score_dense(
    features: npt.NDArray[np.floating], entities: npt.NDArray[np.int64], intercepts: Array,
    starts: npt.NDArray[np.int64], columns: npt.NDArray[np.int32], values: Array, scores: Array,
) -> None:  # fmt: skip
    for i in range(entities.size):
        e = entities[i]
        if e >= 0:
            total = intercepts[e]
            for k in range(starts[e], starts[e + 1]):
                total += values[k] * features[i, columns[k]]
            scores[i] = total


@compiled
def _score_sparse(
    pointers: npt.NDArray[np.int64], indices: npt.NDArray[np.int32],
    data: npt.NDArray[np.floating], width: int, entities: npt.NDArray[np.int64],
    intercepts: Array, starts: npt.NDArray[np.int64], columns: npt.NDArray[np.int32],
    values: Array, scores: Array,
) -> None:  # fmt: skip
    row = np.zeros(width)
    for i in range(entities.size):
        e = entities[i]
        if e < 0:
            continue
        for place in range(pointers[i], pointers[i + 1]):
            row[indices[place]] += data[place]
        scores[i] = intercepts[e]
        for k in range(starts[e], starts[e + 1]):
            scores[i] += values[k] * row[columns[k]]
        for place in range(pointers[i], pointers[i + 1]):
            row[indices[place]] = 0
