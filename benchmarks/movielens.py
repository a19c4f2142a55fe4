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
from collections.abc import Mapping
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
from tasks.core.personalization.options import Intercept, RandomEffectOptions
from tasks.core.personalization.rows import Rows

Array = npt.NDArray[np.float64]
SPLITS = 5
PASSES = 3
STAGES = ("fixed", "+ person", "+ movie")
INTERCEPTS: tuple[Intercept, ...] = ("free", "penalized")


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


def coordinates(intercept: Intercept) -> tuple[Coordinate, ...]:
    """A fixed effect with a free intercept, and effects with this kind; L2 weight 1 everywhere."""
    options = RandomEffectOptions(intercept=intercept)
    return (
        FixedEffect("fixed", "movie"),
        RandomEffect("person", "person", "movie", options),
        RandomEffect("movie", "movie", None, options),
    )


def run_split(ratings: Ratings, seed: int, passes: int, intercept: Intercept) -> GameModel:
    """The descent of one split, its test AUC recorded after every update."""
    train, test = split_rows(ratings, seed)
    return coordinate_descent(train, coordinates(intercept), passes=passes, validation=test)


def metric_at(history: tuple[DescentStep, ...], descent_pass: int, stage: int) -> float:
    """AUC after a stage of a pass."""
    return history[(descent_pass - 1) * len(STAGES) + stage].metric


def paired_interval(differences: Array) -> tuple[float, float, float]:
    """Mean and 95% interval over splits, widened because random splits share training rows.

    Source: the corrected resampled t interval of Nadeau and Bengio (2003); test / train is 1 / 4.
    """
    mean, splits = float(differences.mean()), len(differences)
    error = float(differences.std(ddof=1)) * np.sqrt(1 / splits + 1 / 4)
    half = float(scipy.stats.t.ppf(0.975, splits - 1) * error)
    return mean, mean - half, mean + half


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


def print_aucs(aucs: Array, intercept: Intercept) -> None:
    """Means and deviations over splits, a row per pass."""
    print(f"\nTest AUC, mean (deviation) over {len(aucs)} random 80/20 splits; "
          f"intercepts of the effects {intercept}")  # fmt: skip
    print(f"{'pass':>6}" + "".join(f"{stage:>20}" for stage in STAGES))
    for number, (mean, deviation) in enumerate(
        zip(aucs.mean(axis=0), aucs.std(axis=0, ddof=1), strict=True), start=1
    ):
        cells = "".join(f"{m:12.4f} ({d:.4f})" for m, d in zip(mean, deviation, strict=True))
        print(f"{number:6}{cells}")
    print("From the second pass on, every stage sees all three effects.")


def print_fixed(ours: Mapping[str, float], capped: dict[str, float]) -> None:
    """Which solver ends at the optimum of the fixed effect."""
    print("\nFixed effect alone    iterations   objective  largest gradient")
    for name, iterations, found in (
        ("ours (Newton)", ours["mean_iterations"], ours),
        ("L-BFGS-B, 100 at most", capped["iterations"], capped),
    ):
        print(f"{name:22}{iterations:10.0f}{found['objective']:12.4f}"
              f"{found['largest_gradient']:18.1e}")  # fmt: skip


def print_joint(game: GameModel, longest: GameModel) -> None:
    """How far above its optimum the joint objective ends after each pass."""
    best = longest.history[-1].objective
    ends = [game.history[p * len(STAGES) - 1].objective - best for p in range(1, PASSES + 1)]
    print("Joint objective above its optimum (60 passes), by pass: "
          + ", ".join(f"{end:.2f}" for end in ends))  # fmt: skip
    unconverged = sum(step.summary["unconverged"] for step in game.history)
    single = int(game.history[len(STAGES) - 1].summary["single_class"])
    print(f"Single fits that missed their optimum: {unconverged:.0f}; one-class movies: {single}")


def run_splits(ratings: Ratings, splits: int, intercept: Intercept) -> dict[str, float]:
    """All splits with one kind of intercept; prints their tables and returns the figures."""
    games = [run_split(ratings, seed, PASSES, intercept) for seed in range(splits)]
    aucs = np.array(
        [
            [[metric_at(game.history, p, s) for s in range(3)] for p in range(1, PASSES + 1)]
            for game in games
        ]
    )
    print_aucs(aucs, intercept)
    figures = {
        f"auc_{stage.strip('+ ')}": float(aucs[:, 0, s].mean()) for s, stage in enumerate(STAGES)
    }
    for number in range(2, PASSES + 1):
        mean, low, high = paired_interval(aucs[:, number - 1, 2] - aucs[:, 0, 2])
        print(f"{number} passes minus 1: {mean:+.5f} [{low:+.5f}, {high:+.5f}], paired by split")
        figures |= {f"auc_{number}_passes": float(aucs[:, number - 1, 2].mean()),
                    f"gain_{number}_passes": mean, f"gain_{number}_passes_low": low,
                    f"gain_{number}_passes_high": high}  # fmt: skip
    print_joint(games[0], run_split(ratings, 0, 60, intercept))
    return {f"{name}_{intercept}": value for name, value in figures.items()}


def run(folder: Path, splits: int) -> dict[str, float]:
    """Everything; prints the tables and returns the figures."""
    ratings = read_ratings(folder)
    print(f"{len(ratings.labels):,} ratings, {ratings.labels.mean():.1%} of them 4 or more, "
          f"{ratings.features.shape[1]} features")  # fmt: skip
    figures: dict[str, float] = {}
    for intercept in INTERCEPTS:
        figures |= run_splits(ratings, splits, intercept)
    train, _ = split_rows(ratings, 0)
    capped = capped_solver(train)
    ours = coordinate_descent(train, coordinates("free")[:1]).history[0].summary
    print_fixed(ours, capped)
    figures["fixed_objective_excess_of_capped_solver"] = capped["objective"] - ours["objective"]
    figures["fixed_largest_gradient"] = ours["largest_gradient"]
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
