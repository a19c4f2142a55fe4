"""Entities fitted per second, next to SciPy's L-BFGS-B and scikit-learn, one fit per entity.

    python -m benchmarks.random_effects            equality, even sizes, uneven sizes
    python -m benchmarks.random_effects --scale    time against entities, 1e4 to 1e6, in shards

Times are CPU seconds of one thread, so other work on the machine
does not count. Peers fit a subsample of the entities; theirs and ours alternate, round by round.
"""

import argparse
import json
import os
import platform
import resource
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy
import scipy.optimize
import sklearn
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from tasks.core.personalization.random_effect_model import RandomEffectModel
from tasks.core.personalization.random_effects import fit_random_effect
from tasks.core.personalization.sharding import fit_shard, shard_path

Array = npt.NDArray[np.float64]
PEERS = ("scipy_lbfgsb", "sklearn_logistic")
ROUNDS = 7


@dataclass(frozen=True)
class Clicks:
    """Rows sorted by entity: ids (n,), features (n, d), labels (n,); entity e from starts[e]."""

    ids: pa.StringArray
    features: Array
    labels: Array
    starts: npt.NDArray[np.int64]

    def entity(self, number: int) -> tuple[Array, Array]:
        """Features and labels of one entity."""
        own = slice(self.starts[number], self.starts[number + 1])
        return self.features[own], self.labels[own]

    def only(self, numbers: npt.NDArray[np.int64]) -> "Clicks":
        """The rows of these entities."""
        rows = np.concatenate([np.arange(self.starts[e], self.starts[e + 1]) for e in numbers])
        sizes = np.diff(self.starts)[numbers]
        starts = np.append(0, np.cumsum(sizes)).astype(np.int64)
        return Clicks(self.ids.take(pa.array(rows)), self.features[rows], self.labels[rows], starts)

    def two_class(self) -> npt.NDArray[np.int64]:
        """Entities with both labels: scikit-learn refuses the others."""
        means = np.add.reduceat(self.labels, self.starts[:-1]) / np.diff(self.starts)
        return np.flatnonzero((means > 0) & (means < 1))


def simulate(sizes: npt.NDArray[np.int64], features: int, seed: int) -> Clicks:
    """Clicks of entities with these numbers of rows from a logistic model each."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    tastes = rng.normal(0, 0.5, (len(sizes), features + 1))
    x = rng.normal(size=(len(owner), features))
    logits = tastes[owner, 0] + (x * tastes[owner, 1:]).sum(axis=1)
    labels = (rng.random(len(owner)) < expit(logits)).astype(np.float64)
    ids = pa.array([f"entity_{number:07d}" for number in range(len(sizes))]).take(pa.array(owner))
    return Clicks(ids, x, labels, np.append(0, np.cumsum(sizes)).astype(np.int64))


def objective(beta: Array, x: Array, labels: Array) -> tuple[float, Array]:
    """Logistic loss plus half the squared coefficients, the intercept (first) free; gradient."""
    z = beta[0] + x @ beta[1:]
    error = expit(z) - labels
    value = np.logaddexp(0, z).sum() - labels @ z + beta[1:] @ beta[1:] / 2
    return float(value), np.append(error.sum(), x.T @ error + beta[1:])


def fit_scipy(x: Array, labels: Array, tight: bool = False) -> Array:
    """One entity by L-BFGS-B, at its defaults or as tight as it goes."""
    options = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 1000} if tight else {}
    start = np.zeros(x.shape[1] + 1)
    found = scipy.optimize.minimize(
        objective, start, (x, labels), method="L-BFGS-B", jac=True, options=options
    )
    return np.asarray(found.x, np.float64)


def fit_sklearn(x: Array, labels: Array, tight: bool = False) -> Array:
    """One entity by LogisticRegression (lbfgs), at its defaults or to a tolerance of 1e-8."""
    more = {"tol": 1e-8, "max_iter": 1000} if tight else {}
    model = LogisticRegression(C=1.0, **more).fit(x, labels)
    return np.append(model.intercept_, model.coef_[0])


def optimum(x: Array, labels: Array) -> Array:
    """The exact optimum by plain Newton steps from the tight L-BFGS-B answer."""
    beta = fit_scipy(x, labels, tight=True)
    design = np.column_stack([np.ones(len(x)), x])
    ridge = np.diag(np.append(0.0, np.ones(x.shape[1])))
    for _ in range(5):
        p = expit(design @ beta)
        hessian = (design * (p * (1 - p))[:, None]).T @ design + ridge
        beta = beta - np.linalg.solve(hessian, objective(beta, x, labels)[1])
    return beta


def fit_ours(clicks: Clicks) -> RandomEffectModel:
    """All entities in one call, from ids and rows to the model."""
    return fit_random_effect(clicks.ids, clicks.features, clicks.labels)


def assert_equal(clicks: Clicks) -> dict[str, float]:
    """Distance of our coefficients to the exact optimum, and of our objective to the peers'."""
    model = fit_ours(clicks)
    ours = np.column_stack([model.intercepts, model.dense()])
    furthest, worst = 0.0, -np.inf
    for entity in range(len(clicks.starts) - 1):
        x, labels = clicks.entity(entity)
        furthest = max(furthest, float(np.abs(ours[entity] - optimum(x, labels)).max()))
        value = objective(ours[entity], x, labels)[0]
        for fit in (fit_scipy, fit_sklearn):
            peer = fit(x, labels, tight=True)
            worst = max(worst, value - objective(peer, x, labels)[0])
    assert furthest < 1e-6, f"coefficients {furthest:.1e} from the optimum"
    assert worst < 1e-10, f"objective worse than a peer's by {worst:.1e}"
    return {"furthest_from_optimum": furthest, "largest_objective_excess": worst}


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def per_entity(fit: Callable[..., Array], clicks: Clicks, tight: bool) -> Callable[[], None]:
    """A call that fits every entity by `fit`, one by one."""

    def run() -> None:
        for entity in range(len(clicks.starts) - 1):
            fit(*clicks.entity(entity), tight=tight)

    return run


def compare(ours: Clicks, theirs: Clicks, rounds: int) -> dict[str, list[float]]:
    """Seconds per entity of each contestant, round by round, in turns."""
    sizes = (len(ours.starts) - 1, len(theirs.starts) - 1)
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        times = {"ours": seconds(lambda: fit_ours(ours)) / sizes[0]}
        for name, fit in zip(PEERS, (fit_scipy, fit_sklearn), strict=True):
            for suffix, tight in (("", False), (" tight", True)):
                times[name + suffix] = seconds(per_entity(fit, theirs, tight)) / sizes[1]
        for name, value in times.items():
            found.setdefault(name, []).append(value)
    return found


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    return {
        "median": float(np.median(values)), "low": float(min(values)), "high": float(max(values)),
    }  # fmt: skip


def add_ratios(
    ratios: dict[str, dict[str, dict[str, float]]], times: dict[str, list[float]], metric: str
) -> None:
    """Peer time over ours, round by round, at the peer's defaults and at equal accuracy."""
    for peer in PEERS:
        for suffix, label in (("", ""), (" tight", "_at_equal_accuracy")):
            both = zip(times[peer + suffix], times["ours"], strict=True)
            ratios.setdefault(peer, {})[metric + label] = spread([p / o for p, o in both])


def print_times(title: str, times: dict[str, list[float]]) -> None:
    """A table for people."""
    print(f"\n{title}")
    print(f"{'':24}{'us / entity':>12}{'low':>10}{'high':>10}{'ratio':>9}")
    ours = float(np.median(times["ours"]))
    for name, values in times.items():
        s = {key: value * 1e6 for key, value in spread(values).items()}
        ratio = float(np.median(values)) / ours
        print(f"{name:24}{s['median']:12.1f}{s['low']:10.1f}{s['high']:10.1f}{ratio:8.1f}x")


def run_comparison(entities: int, rounds: int) -> dict[str, object]:
    """Equality first, then even sizes (20 rows) and uneven ones (Zipf, 1 to 5,000 rows)."""
    even = simulate(np.full(entities, 20), 10, seed=0)
    sample = even.only(even.two_class()[:: max(entities // 200, 1)][:200])
    zipf = simulate((5000 / np.arange(1, 5001)).astype(np.int64), 10, seed=1)
    uneven = zipf.only(zipf.two_class())
    checks = assert_equal(sample)
    hard = assert_equal(uneven.only(np.arange(0, len(uneven.starts) - 1, 10)))
    ratios: dict[str, dict[str, dict[str, float]]] = {}
    times = compare(even, sample, rounds)
    add_ratios(ratios, times, "entities_per_second")
    print_times(
        f"{entities:,} entities x 20 rows x 10 features (peers on {len(sample.starts) - 1})", times
    )
    uneven_times = compare(uneven, uneven, max(rounds // 2, 1))
    add_ratios(ratios, uneven_times, "uneven_entities_per_second")
    print_times(
        f"{len(uneven.starts) - 1:,} entities with both labels of Zipf sizes 1 to 5,000",
        uneven_times,
    )
    figures = {
        "entities_per_second": 1 / float(np.median(times["ours"])),
        "uneven_entities_per_second": 1 / float(np.median(uneven_times["ours"])),
        **checks,
        **{f"uneven_{name}": value for name, value in hard.items()},
    }
    return {"equal": True, "ratios": ratios, "figures": figures}


def shard_rows(shard: int, entities: int) -> tuple[pa.Array, npt.NDArray[np.float32], Array]:
    """Ids, features and labels of one shard: 30 rows and 16 features an entity."""
    rng = np.random.default_rng(shard)
    owner = np.repeat(np.arange(entities), 30)
    tastes = rng.normal(0, 0.5, (entities, 16)).astype(np.float32)
    x = rng.standard_normal((entities * 30, 16), np.float32)
    logits = np.einsum("nd,nd->n", x, tastes[owner])
    labels = (rng.random(len(owner)) < expit(logits)).astype(np.float64)
    names = pa.array([f"member_{shard:04d}_{number:06d}" for number in range(entities)])
    return names.take(pa.array(owner)), x, labels


def time_shards(entities: int, folder: Path) -> dict[str, float]:
    """CPU seconds to fit, write, open and score all shards of 10,000 entities, one by one."""
    fitted = scored = 0.0
    shards = entities // 10_000
    for shard in range(shards):
        ids, x, labels = shard_rows(shard, 10_000)
        path = shard_path(folder, "rows", shard, shards)
        begin = time.process_time()
        model = fit_shard(path, lambda: fit_random_effect(ids, x, labels))  # noqa: B023
        middle = time.process_time()
        model.score(ids, x)
        fitted, scored = fitted + middle - begin, scored + time.process_time() - middle
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"fit_seconds": fitted, "score_seconds": scored, "peak_gib": peak}


def run_scale(sizes: Sequence[int]) -> dict[str, object]:
    """Time against entities; memory stays that of one shard."""
    figures: dict[str, float] = {}
    print("\n30 rows x 16 features an entity, shards of 10,000 entities, one thread")
    print(f"{'entities':>10}{'fit s':>9}{'score s':>9}{'us / entity':>13}{'peak GiB':>10}")
    time_shards(10_000, Path(tempfile.mkdtemp()))  # compiles
    for entities in sizes:
        with tempfile.TemporaryDirectory() as folder:
            found = time_shards(entities, Path(folder))
        total = found["fit_seconds"] + found["score_seconds"]
        print(
            f"{entities:10,}{found['fit_seconds']:9.2f}{found['score_seconds']:9.2f}"
            f"{total / entities * 1e6:13.1f}{found['peak_gib']:10.2f}",
            flush=True,
        )
        figures |= {f"{name}_{entities}": value for name, value in found.items()}
        assert found["peak_gib"] < 4
    return {"equal": True, "ratios": {}, "figures": figures}


def environment() -> dict[str, object]:
    """What the figures depend on."""
    versions = {module.__name__: module.__version__ for module in (np, scipy, sklearn, numba)}
    return {"python": platform.python_version(), "cpus": os.cpu_count(), "threads": 1, **versions}


def main() -> None:
    """Print the tables, then one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scale", action="store_true", help="time against entities instead")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--entities", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    with threadpool_limits(1):
        if chosen.scale:
            result = run_scale(chosen.sizes)
        else:
            result = run_comparison(chosen.entities, chosen.rounds)
    print(json.dumps({"name": "random_effects", **result, "environment": environment()}))


if __name__ == "__main__":
    main()
