"""AUC of a fixed effect, + person, + movie on MovieLens ratings, by passes of coordinate descent.

    python -m benchmarks.movielens --data FOLDER

FOLDER holds ratings.csv and movies.csv (or .csv.gz) of GroupLens' ml-latest-small, which may not
be passed on and is no part of this project: https://grouplens.org/datasets/movielens/. The label
is rating >= 4. Features of a movie are its genres and its year in decades from 2000; the movie
effect is an intercept, since the data says nothing about persons.
"""

import argparse
import csv
import gzip
import io
import json
import platform
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.optimize
import scipy.stats
from scipy.special import expit

from tasks.core.personalization.coordinate_descent import coordinate_descent
from tasks.core.personalization.game_model import (
    Coordinate,
    DescentStep,
    FixedEffect,
    GameModel,
    RandomEffect,
)
from tasks.core.personalization.options import RandomEffectOptions
from tasks.core.personalization.rows import Rows

Array = npt.NDArray[np.float64]
SPLITS = 5
PASSES = 3
STAGES = ("fixed", "+ person", "+ movie")
OPTIONS = RandomEffectOptions(l2_weight=1.0)
GAME: tuple[Coordinate, ...] = (
    FixedEffect("fixed", "movie", OPTIONS),
    RandomEffect("person", "person", "movie", OPTIONS),
    RandomEffect("movie", "movie", None, OPTIONS),
)


@dataclass(frozen=True)
class Ratings:
    """All ratings: persons and movies (n,), labels (n,), movie features (n, d)."""

    persons: npt.NDArray[np.str_]
    movies: npt.NDArray[np.str_]
    labels: Array
    features: Array

    def rows(self, own: npt.NDArray[np.int64]) -> Rows:
        """These ratings as rows."""
        return Rows(
            row_ids=[f"rating_{number}" for number in own],
            labels=self.labels[own],
            features={"movie": self.features[own]},
            entity_ids={"person": self.persons[own], "movie": self.movies[own]},
        )


def read_table(folder: Path, name: str) -> list[dict[str, str]]:
    """Rows of name.csv or name.csv.gz in `folder`."""
    packed = folder / f"{name}.csv.gz"
    data = gzip.decompress(packed.read_bytes()) if packed.is_file() else None
    text = (data or (folder / f"{name}.csv").read_bytes()).decode("utf-8")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def read_ratings(folder: Path) -> Ratings:
    """Ratings joined with genres and year; a title without a year counts as 2000."""
    movies = {row["movieId"]: row for row in read_table(folder, "movies")}
    ratings = read_table(folder, "ratings")
    genres = sorted({genre for row in movies.values() for genre in row["genres"].split("|")})
    described = {
        movie: [float(genre in row["genres"].split("|")) for genre in genres] + [decade(row)]
        for movie, row in movies.items()
    }
    return Ratings(
        np.array([row["userId"] for row in ratings]),
        np.array([row["movieId"] for row in ratings]),
        np.array([float(float(row["rating"]) >= 4) for row in ratings]),
        np.array([described[row["movieId"]] for row in ratings]),
    )


def decade(movie: dict[str, str]) -> float:
    """Decades after 2000, from the year that ends the title."""
    found = re.search(r"\((\d{4})\)\s*$", movie["title"])
    return (int(found.group(1)) - 2000) / 10 if found else 0.0


def split_rows(ratings: Ratings, seed: int) -> tuple[Rows, Rows]:
    """A random 80/20 split of the ratings."""
    order = np.random.default_rng(seed).permutation(len(ratings.labels))
    held_out = len(order) // 5
    return ratings.rows(np.sort(order[held_out:])), ratings.rows(np.sort(order[:held_out]))


def run_split(ratings: Ratings, seed: int, passes: int) -> tuple[GameModel, Rows]:
    """The descent of one split, its test AUC recorded after every update; and its rows."""
    train, test = split_rows(ratings, seed)
    return coordinate_descent(train, GAME, passes=passes, validation=test), train


def metric_at(history: tuple[DescentStep, ...], descent_pass: int, stage: int) -> float:
    """AUC after a stage of a pass."""
    return history[(descent_pass - 1) * len(GAME) + stage].metric


def paired_interval(differences: Array) -> tuple[float, float, float]:
    """Mean and 95% Student interval over splits."""
    mean = float(differences.mean())
    half = scipy.stats.t.ppf(0.975, len(differences) - 1) * scipy.stats.sem(differences)
    return mean, mean - float(half), mean + float(half)


def capped_solver(rows: Rows) -> dict[str, float]:
    """The fixed effect by L-BFGS-B stopped at 100 iterations, the recipe of GDMix."""
    x, labels = np.asarray(rows.features["movie"]), rows.checked_labels()

    def objective(beta: Array) -> tuple[float, Array]:
        z = beta[0] + x @ beta[1:]
        error = expit(z) - labels
        value = np.logaddexp(0, z).sum() - labels @ z + beta[1:] @ beta[1:] / 2
        return float(value), np.append(error.sum(), x.T @ error + beta[1:])

    options = {"maxiter": 100, "ftol": 1e-12, "gtol": 1e-12, "maxcor": 10}
    found = scipy.optimize.minimize(
        objective, np.zeros(x.shape[1] + 1), method="L-BFGS-B", jac=True, options=options
    )
    gradient = objective(found.x)[1]
    return {
        "iterations": float(found.nit), "objective": float(found.fun),
        "largest_gradient": float(np.abs(gradient).max()),
    }  # fmt: skip


def print_aucs(aucs: Array) -> None:
    """Means and deviations over splits, a row per pass."""
    print(f"\nTest AUC, mean (deviation) over {len(aucs)} random 80/20 splits")
    print(f"{'pass':>6}" + "".join(f"{stage:>20}" for stage in STAGES))
    for number, (mean, deviation) in enumerate(
        zip(aucs.mean(axis=0), aucs.std(axis=0, ddof=1), strict=True), start=1
    ):
        cells = "".join(f"{m:12.4f} ({d:.4f})" for m, d in zip(mean, deviation, strict=True))
        print(f"{number:6}{cells}")
    print("From the second pass on, every stage sees all three effects.")


def print_optimality(game: GameModel, longest: GameModel, capped: dict[str, float]) -> None:
    """How far from its optimum each objective ends: one fit, one pass, several passes."""
    first = game.history[0].summary
    print("\nFixed effect alone    iterations   objective  largest gradient")
    print(f"{'ours (Newton)':20}{first['mean_iterations']:12.0f}{first['objective']:12.4f}"
          f"{first['largest_gradient']:18.1e}")  # fmt: skip
    print(f"{'L-BFGS-B, 100 at most':20}{capped['iterations']:11.0f}{capped['objective']:12.4f}"
          f"{capped['largest_gradient']:18.1e}")  # fmt: skip
    best = longest.history[-1].objective
    print("\nJoint objective of all three effects, above its optimum")
    for number in range(1, PASSES + 1):
        step = game.history[number * len(GAME) - 1]
        print(f"  after pass {number}: {step.objective - best:12.4f}")
    unconverged = sum(step.summary["unconverged"] for step in game.history)
    single = {step.coordinate: int(step.summary["single_class"]) for step in game.history}
    print(f"  single fits that missed their optimum: {unconverged:.0f}; one-class: {single}")


def run(folder: Path, splits: int) -> dict[str, float]:
    """All splits; prints the tables and returns the figures."""
    ratings = read_ratings(folder)
    print(f"{len(ratings.labels):,} ratings, {ratings.labels.mean():.1%} of them 4 or more, "
          f"{ratings.features.shape[1]} features")  # fmt: skip
    games = [run_split(ratings, seed, PASSES) for seed in range(splits)]
    aucs = np.array(
        [
            [[metric_at(game.history, p, s) for s in range(3)] for p in range(1, PASSES + 1)]
            for game, _ in games
        ]
    )
    print_aucs(aucs)
    figures = {f"auc_{stage.strip('+ ')}": float(aucs[:, 0, s].mean())
               for s, stage in enumerate(STAGES)}  # fmt: skip
    for number in range(2, PASSES + 1):
        mean, low, high = paired_interval(aucs[:, number - 1, 2] - aucs[:, 0, 2])
        print(f"{number} passes minus 1: {mean:+.5f} [{low:+.5f}, {high:+.5f}], paired by split")
        figures |= {f"auc_{number}_passes": float(aucs[:, number - 1, 2].mean()),
                    f"gain_{number}_passes": mean, f"gain_{number}_passes_low": low,
                    f"gain_{number}_passes_high": high}  # fmt: skip
    capped = capped_solver(games[0][1])
    longest, _ = run_split(ratings, 0, 60)
    print_optimality(games[0][0], longest, capped)
    first = games[0][0].history[0].summary
    figures["fixed_objective_excess_of_capped_solver"] = capped["objective"] - first["objective"]
    figures["fixed_largest_gradient"] = first["largest_gradient"]
    figures["capped_solver_largest_gradient"] = capped["largest_gradient"]
    return figures


def main() -> None:
    """Print the tables, then one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder of ml-latest-small")
    parser.add_argument("--splits", type=int, default=SPLITS)
    chosen = parser.parse_args()
    figures = run(chosen.data, chosen.splits)
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    result = {"name": "movielens", "equal": True, "ratios": {}, "figures": figures}
    print(json.dumps({**result, "environment": versions}))


if __name__ == "__main__":
    main()
