"""An earlier model as start values, as a Gaussian prior, and as what is carried over unchanged."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.core.errors import CookbookError
from tasks.core.personalization.compiled import compiled
from tasks.core.personalization.convergence import PER_ENTITY, ConvergenceReport
from tasks.core.personalization.design import LocalColumns
from tasks.core.personalization.entities import find_entities
from tasks.core.personalization.options import RandomEffectOptions
from tasks.core.personalization.random_effect_model import RandomEffectModel

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Earlier:
    """Start values and prior, looked up by entity and feature name: columns may have moved."""

    feature_names: tuple[str, ...]
    warm_start: RandomEffectModel | None
    prior: RandomEffectModel | None
    start: RandomEffectModel | None = None

    def knows(self, entity_ids: pa.StringArray) -> npt.NDArray[np.bool_]:
        """Whether an earlier model has each entity (E,)."""
        known = np.zeros(len(entity_ids), np.bool_)
        for model in (self.warm_start, self.prior):
            if model is not None:
                known |= find_entities(entity_ids, model.entity_ids) >= 0
        return known

    def start_values(self, entity_ids: pa.StringArray, local: LocalColumns) -> tuple[Array, Array]:
        """(intercepts (E,), values at `local.columns`) of the earlier model, or 0."""
        model = self.start or self.warm_start or self.prior
        if model is None:
            return np.zeros(len(entity_ids)), np.zeros(len(local.columns))
        return self._aligned(model, model.intercepts, model.values, entity_ids, local)

    def gaussian(
        self, entity_ids: pa.StringArray, local: LocalColumns,
        default: tuple[Array, Array], options: RandomEffectOptions,
    ) -> tuple[tuple[Array, Array], tuple[Array, Array]]:  # fmt: skip
        """Curvatures and centers (intercepts, values) of k / 2 * (beta - mean)^2 / variance.

        Where a known entity has no variance, lambda takes the place of its inverse; unknown
        entities keep the `default` curvatures. Source: Photon ML's PriorDistribution.
        """
        prior = self.prior
        assert prior is not None
        if prior.variances is None or prior.intercept_variances is None:
            raise CookbookError(
                "An incremental fit needs the earlier model's variances and this one has none; fit "
                "it with variances 'simple' or 'full', or pass it as warm_start instead."
            )
        spreads = (prior.intercept_variances, prior.variances)
        means = self._aligned(prior, prior.intercepts, prior.values, entity_ids, local)
        variances = self._aligned(prior, *spreads, entity_ids, local)
        known = find_entities(entity_ids, prior.entity_ids) >= 0
        owners = np.repeat(known, np.diff(local.starts))
        curvatures = [
            np.where(here, options.prior_weight * _inverse(variance, usual), usual)
            for here, variance, usual in zip((known, owners), variances, default, strict=True)
        ]
        return (curvatures[0], curvatures[1]), means

    def _aligned(
        self, model: RandomEffectModel, intercepts: Array, values: Array,
        entity_ids: pa.StringArray, local: LocalColumns,
    ) -> tuple[Array, Array]:  # fmt: skip
        entities = find_entities(entity_ids, model.entity_ids)
        numbers = {name: j for j, name in enumerate(model.feature_names)}
        columns = np.array([numbers.get(name, -1) for name in self.feature_names], np.int64)
        found = np.zeros(len(local.columns))
        _align(
            entities, columns, local.starts, local.columns, model.starts, model.columns, values,
            found,
        )  # fmt: skip
        own = np.where(entities >= 0, intercepts[entities] if len(intercepts) else 0.0, 0.0)
        return own, found


def _inverse(variances: Array, default: Array) -> Array:
    return np.divide(1, variances, out=default.copy(), where=variances > 0)


@compiled
def _align(
    entities: Integers, renamed: Integers, starts: Integers, columns: npt.NDArray[np.int32],
    old_starts: Integers, old_columns: npt.NDArray[np.int32], old_values: Array, found: Array,
) -> None:  # fmt: skip
    for e in range(entities.size):
        old = entities[e]
        if old < 0:
            continue
        begin, end = old_starts[old], old_starts[old + 1]
        for k in range(starts[e], starts[e + 1]):
            wanted = renamed[columns[k]]
            place = begin + np.searchsorted(old_columns[begin:end], wanted)
            if wanted >= 0 and place < end and old_columns[place] == wanted:
                found[k] = old_values[place]


def carry_over(
    model: RandomEffectModel,
    earlier: RandomEffectModel | None,
    seen: pa.StringArray,
    options: RandomEffectOptions,
) -> RandomEffectModel:
    """Add what `earlier` knows and the new rows did not train: whole entities, single features.

    Entities that were `seen` with too few rows to train keep their earlier model; those not seen,
    and features that a retrained entity's rows lack, keep theirs where `options` says so (GDMix
    loses the latter). Features that the new table does not have come last in `feature_names`.
    """
    if earlier is None:
        return model
    extra = [name for name in earlier.feature_names if name not in set(model.feature_names)]
    names = (*model.feature_names, *(extra if options.keep_vanished_features else ()))
    kept = _kept_entities(model, earlier, seen, options)
    everyone = pa.concat_arrays([model.entity_ids, earlier.entity_ids.filter(kept)]).unique()
    everyone = everyone.take(pc.sort_indices(everyone))
    new, old = _entries(model, names, everyone), _entries(earlier, names, everyone)
    retrained = find_entities(everyone, model.entity_ids) >= 0
    keeps_rest = options.keep_vanished_features | ~retrained
    fresh = (old >= 0) & ~np.isin(old, new)
    fresh[fresh] &= keeps_rest[old[fresh] // len(names)]
    return _merged(model, earlier, names, everyone, new, old, fresh)


def _kept_entities(
    model: RandomEffectModel,
    earlier: RandomEffectModel,
    seen: pa.StringArray,
    options: RandomEffectOptions,
) -> npt.NDArray[np.bool_]:
    """Entities of `earlier` (E,) that the result has: retrained, passive or, by option, unseen."""
    present = find_entities(earlier.entity_ids, seen) >= 0
    return present | options.keep_vanished_entities


def _entries(
    model: RandomEffectModel, names: tuple[str, ...], everyone: pa.StringArray
) -> Integers:
    """The place of each of the model's values in the (entity, feature) table, -1 for none."""
    numbers = {name: j for j, name in enumerate(names)}
    columns = np.array([numbers.get(name, -1) for name in model.feature_names], np.int64)
    entities = find_entities(model.entity_ids, everyone)
    owner, column = np.repeat(entities, np.diff(model.starts)), columns[model.columns]
    return np.where((owner >= 0) & (column >= 0), owner * len(names) + column, -1)


def _merged(
    model: RandomEffectModel, earlier: RandomEffectModel, names: tuple[str, ...],
    everyone: pa.StringArray, new: Integers, old: Integers, fresh: npt.NDArray[np.bool_],
) -> RandomEffectModel:  # fmt: skip
    entries = np.concatenate([new, old[fresh]])
    ascending = np.argsort(entries, kind="stable")
    owner, column = np.divmod(entries[ascending], max(len(names), 1))
    starts = np.searchsorted(owner, np.arange(len(everyone) + 1)).astype(np.int64)
    was, now = (
        find_entities(everyone, earlier.entity_ids),
        find_entities(everyone, model.entity_ids),
    )
    result = replace(
        model,
        feature_names=names,
        entity_ids=everyone,
        intercepts=_spread_out(model.intercepts, now, earlier.intercepts, was),
        starts=starts,
        columns=column.astype(np.int32),
        values=np.concatenate([model.values, earlier.values[fresh]])[ascending],
        report=_report_for(model.report, now),
    )
    if model.variances is None or model.intercept_variances is None:
        return result
    before = np.zeros(len(earlier.values)) if earlier.variances is None else earlier.variances
    intercepts = earlier.intercept_variances
    intercepts = np.zeros(len(earlier.intercepts)) if intercepts is None else intercepts
    return replace(
        result,
        variances=np.concatenate([model.variances, before[fresh]])[ascending],
        intercept_variances=_spread_out(model.intercept_variances, now, intercepts, was),
    )


def _spread_out(new: Array, now: Integers, old: Array, was: Integers) -> Array:
    """Per entity the new value, else the old one."""
    result = np.zeros(len(now))
    result[was >= 0] = old[was[was >= 0]]
    result[now >= 0] = new[now[now >= 0]]
    return result


def _report_for(report: ConvergenceReport, now: Integers) -> ConvergenceReport:
    """The report with room for the carried entities: no rows, no iterations."""
    here = now >= 0
    arrays: dict[str, Any] = {}
    for name in PER_ENTITY:
        column = getattr(report, name)
        arrays[name] = np.zeros(len(now), column.dtype)
        arrays[name][here] = column[now[here]]
    return replace(report, carried=int((~here).sum()), **arrays)
