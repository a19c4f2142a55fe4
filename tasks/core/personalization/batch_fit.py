"""One fit over all entities: penalties laid out, chunks solved, a model put together."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.core.errors import CookbookError
from tasks.core.personalization import solver
from tasks.core.personalization.blocks import Blocks, Outcome, Penalty, Stopping
from tasks.core.personalization.convergence import ConvergenceReport
from tasks.core.personalization.design import LocalColumns, gather, local_columns
from tasks.core.personalization.earlier_model import Earlier
from tasks.core.personalization.entities import Grouping
from tasks.core.personalization.feature_selection import select_features
from tasks.core.personalization.large_fit import Design, Problem, fit_large
from tasks.core.personalization.options import RandomEffectOptions
from tasks.core.personalization.random_effect_model import RandomEffectModel
from tasks.core.personalization.training_rows import (
    TrainingRows,
    feature_spread,
    single_class_entities,
)

Array = npt.NDArray[np.float64]
TASKS = {"logistic": solver.LOGISTIC, "linear": solver.LINEAR, "poisson": solver.POISSON}
VARIANCES = {"none": solver.NO_VARIANCES, "simple": solver.SIMPLE, "full": solver.FULL}
WIDE = 256  # coefficients: beyond, a Hessian per entity costs more than its data
LONG = 2**24  # design values of one entity: beyond, its rows are read in place
VALUES_AT_ONCE = 2**18  # design values gathered per call of the solver: 2 MiB stay in the cache


@dataclass
class BatchFit:
    """The inputs of all entities and room for what comes out.

    `starts` (E + 1,) lays out `beta` and `variances` entity by entity, the intercept first.
    """

    data: TrainingRows
    grouping: Grouping
    local: LocalColumns
    earlier: Earlier
    options: RandomEffectOptions
    spread: Array
    limits: tuple[Array, Array]
    single_class: npt.NDArray[np.bool_]
    starts: npt.NDArray[np.int64]
    beta: Array
    variances: Array
    outcome: Outcome
    penalties: Array
    fallbacks: int = 0

    @classmethod
    def prepare(
        cls, data: TrainingRows, grouping: Grouping, earlier: Earlier, options: RandomEffectOptions
    ) -> "BatchFit":
        """Find each entity's columns and make room."""
        local = local_columns(data.features, grouping, options.local_features)
        if options.feature_ratio is not None:
            local = select_features(data, grouping, local, options.feature_ratio)
        entities = len(grouping.entity_ids)
        starts = local.starts + int(options.intercept != "absent") * np.arange(entities + 1)
        return cls(
            data=data,
            grouping=grouping,
            local=local,
            earlier=earlier,
            options=options,
            spread=feature_spread(data.features, grouping.order, options.normalization),
            limits=_limits(data.feature_names, options),
            single_class=single_class_entities(data.labels, grouping, options.task),
            starts=starts,
            beta=np.zeros(starts[-1]),
            variances=np.zeros(starts[-1]),
            outcome=Outcome.empty(entities),
            penalties=np.zeros(starts[-1]),
        )

    @property
    def extra(self) -> int:
        """1 if each entity's first coefficient is an intercept, else 0."""
        return int(self.options.intercept != "absent")

    def solve(self) -> None:
        """Fit all entities in chunks; float32 fits that did not get there run again in float64."""
        # L1 and limits settle on exact zeros and edges, which float32 would miss
        dtype = "float64" if self.options.composite else self.options.dtype
        rows = self.grouping.counts
        sizes = np.cumsum(rows * np.maximum(np.diff(self.starts), 1))
        first, entities = 0, len(rows)
        large = self._is_large()
        stops = np.append(np.flatnonzero(large), entities)
        while first < entities:
            if large[first]:
                self._solve_large(first)
                first += 1
                continue
            done = sizes[first - 1] if first else 0
            last = int(np.searchsorted(sizes, done + VALUES_AT_ONCE, side="right"))
            last = min(max(last, first + 1), int(stops[np.searchsorted(stops, first)]))
            self._solve_chunk(first, last, dtype)
            first = last
        if dtype == "float32":
            for entity in np.flatnonzero(~self.outcome.converged):
                self._solve_chunk(int(entity), int(entity) + 1, "float64")
                self.fallbacks += 1

    def _is_large(self) -> npt.NDArray[np.bool_]:
        """Entities (E,) that go to the solver for wide or long ones; L1 and limits never do."""
        widths = np.diff(self.starts)
        if self.options.composite:
            return np.zeros(len(widths), np.bool_)
        return (widths > WIDE) | (widths * self.grouping.counts > LONG)

    def _solve_large(self, entity: int) -> None:
        local, starts = self._local(entity, entity + 1)
        rows = self.grouping.order[slice(*self.grouping.starts[entity : entity + 2])]
        penalty, beta = self._penalty(entity, entity + 1, local, starts)
        design = Design(self.data.features, rows, local.columns, bool(self.extra))
        data = self.data
        problem = Problem(
            self.options.task, design,
            data.labels[rows], data.weights[rows], data.offsets[rows], penalty,
        )  # fmt: skip
        found = fit_large(problem, beta, _stopping(self.options, "float64"), self.options.variances)
        own = slice(int(self.starts[entity]), int(self.starts[entity + 1]))
        self._keep(own, found.beta, found.variances, penalty)
        self.outcome.iterations[entity] = found.iterations
        self.outcome.gradient_norms[entity] = found.gradient_norm
        self.outcome.objectives[entity] = found.objective
        self.outcome.converged[entity] = found.converged

    def _keep(
        self, own: slice, beta: npt.NDArray[np.floating], variances: npt.NDArray[np.floating],
        penalty: Penalty,
    ) -> None:  # fmt: skip
        """Store coefficients, variances and what the penalty makes of the objective."""
        self.beta[own] = beta
        if len(variances):
            self.variances[own] = variances
        self.penalties[own] = penalty.l1 * np.abs(self.beta[own])
        self.penalties[own] += penalty.curvature / 2 * np.square(self.beta[own] - penalty.center)

    def _local(self, first: int, last: int) -> tuple[LocalColumns, npt.NDArray[np.int64]]:
        """Columns and layout of entities `first` to `last` alone."""
        local = LocalColumns(
            self.local.columns[self.local.starts[first] : self.local.starts[last]],
            self.local.starts[first : last + 1] - self.local.starts[first],
        )
        return local, self.starts[first : last + 1] - self.starts[first]

    def _solve_chunk(self, first: int, last: int, dtype: str) -> None:
        local, starts = self._local(first, last)
        own = slice(int(self.starts[first]), int(self.starts[last]))
        penalty, beta = self._penalty(first, last, local, starts)
        beta = np.clip(beta, penalty.lower, penalty.upper).astype(dtype)
        variances = np.zeros(len(beta), dtype)
        outcome = self.outcome.part(first, last)
        solver.solve_blocks(
            TASKS[self.options.task], self.options.composite,
            self._blocks(first, last, local, starts, dtype),
            Penalty(*(column.astype(dtype, copy=False) for column in penalty)),
            _stopping(self.options, dtype), beta, VARIANCES[self.options.variances], variances,
            outcome,
        )  # fmt: skip
        self._keep(own, beta, variances, penalty)

    def _blocks(
        self, first: int, last: int, local: LocalColumns, starts: npt.NDArray[np.int64], dtype: str
    ) -> Blocks:
        begin, end = self.grouping.starts[first], self.grouping.starts[last]
        order = self.grouping.order[begin:end]
        row_starts = self.grouping.starts[first : last + 1] - begin
        design, places = gather(
            self.data.features, order, row_starts, local, bool(self.extra), dtype
        )
        labels, weights, offsets = (
            column[order].astype(dtype, copy=False)
            for column in (self.data.labels, self.data.weights, self.data.offsets)
        )
        return Blocks(design, labels, weights, offsets, row_starts, places, starts)

    def _penalty(
        self, first: int, last: int, local: LocalColumns, starts: npt.NDArray[np.int64]
    ) -> tuple[Penalty, Array]:
        """The penalty and the start values of entities `first` to `last`, laid out flat."""
        options, entities = self.options, self.grouping.entity_ids[first:last]
        free = np.full(last - first, options.l2_weight)
        if options.intercept == "free":
            free = np.where(self.single_class[first:last], options.single_class_ridge, 0.0)
        l2 = options.l2_weight * np.square(self.spread)
        curvature: tuple[Array, Array] = (free, l2[local.columns])
        center: tuple[Array, Array] = (np.zeros(last - first), np.zeros(len(local.columns)))
        if self.earlier.prior is not None:
            curvature, center = self.earlier.gaussian(entities, local, curvature, options)
        l1 = options.l1_weight * self.spread[local.columns]
        lower, upper = (limit[local.columns] for limit in self.limits)
        shrunk = options.l1_weight * (options.intercept == "penalized")
        ends = (np.full(last - first, sign * np.inf) for sign in (-1, 1))
        penalty = Penalty(
            self._flat(*curvature, starts), self._flat(*center, starts),
            self._flat(np.full(last - first, shrunk), l1, starts),
            self._flat(next(ends), lower, starts), self._flat(next(ends), upper, starts),
        )  # fmt: skip
        return penalty, self._flat(*self.earlier.start_values(entities, local), starts)

    def _flat(self, intercepts: Array, values: Array, starts: npt.NDArray[np.int64]) -> Array:
        """Intercepts (E,) and values interleaved: each entity's intercept before its values."""
        if not self.extra:
            return values.astype(np.float64)
        flat = np.empty(int(starts[-1]))
        is_intercept = np.zeros(len(flat), np.bool_)
        is_intercept[starts[:-1]] = True
        flat[is_intercept] = intercepts
        flat[~is_intercept] = values
        return flat

    def model(self, passive_entities: int, passive_rows: int) -> RandomEffectModel:
        """The fitted model; coefficients at or below the sparsity threshold are left out."""
        intercepts, values = self._split(self.beta)
        kept = np.abs(values) > self.options.sparsity_threshold
        if self.options.sparsity_threshold == 0:
            kept[:] = True
        counted = np.zeros(len(kept) + 1, np.int64)
        np.cumsum(kept, out=counted[1:])
        spread = self._split(self.variances) if self.options.variances != "none" else None
        return RandomEffectModel(
            feature_names=self.data.feature_names,
            task=self.options.task,
            entity_ids=self.grouping.entity_ids,
            intercepts=intercepts,
            starts=counted[self.local.starts],
            columns=self.local.columns[kept],
            values=values[kept],
            report=self._report(passive_entities, passive_rows),
            intercept_variances=spread[0] if spread else None,
            variances=spread[1][kept] if spread else None,
        )

    def _split(self, flat: Array) -> tuple[Array, Array]:
        if not self.extra:
            return np.zeros(len(self.starts) - 1), flat
        is_intercept = np.zeros(len(flat), np.bool_)
        is_intercept[self.starts[:-1]] = True
        return flat[is_intercept], flat[~is_intercept]

    def _report(self, passive_entities: int, passive_rows: int) -> ConvergenceReport:
        return ConvergenceReport(
            trained=len(self.grouping.entity_ids),
            passive=passive_entities,
            carried=0,
            active_rows=len(self.grouping.order),
            passive_rows=passive_rows,
            float64_fallbacks=self.fallbacks,
            penalty=float(self.penalties.sum()),
            rows=self.grouping.counts,
            iterations=self.outcome.iterations,
            gradient_norms=self.outcome.gradient_norms,
            objectives=self.outcome.objectives,
            converged=self.outcome.converged,
            single_class=self.single_class,
        )


def _stopping(options: RandomEffectOptions, dtype: str) -> Stopping:
    if dtype == "float64":
        return Stopping(options.max_iterations, options.tolerance, 1e-13)
    return Stopping(options.max_iterations, max(options.tolerance, 1e-8), 1e-6)


def _limits(names: tuple[str, ...], options: RandomEffectOptions) -> tuple[Array, Array]:
    """Lower and upper limit of each feature's coefficient (d,)."""
    low, high = options.coefficient_limits or (-np.inf, np.inf)
    lower, upper = np.full(len(names), float(low)), np.full(len(names), float(high))
    numbers = {name: j for j, name in enumerate(names)}
    for name, least, most in options.feature_limits:
        if name not in numbers:
            raise CookbookError(f"feature_limits name {name!r}, which is no feature; have {names}.")
        lower[numbers[name]], upper[numbers[name]] = least, most
    return lower, upper
