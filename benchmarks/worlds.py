"""The whole pipeline on several simulated worlds: each headline figure's mean and spread.

    python -m benchmarks.worlds --store FOLDER [--seeds 0 1 2 3 4] [--profile laptop]

For every seed a world is simulated, the pipeline runs on it, and its figures are held against the
truth that only the simulator knows: kappa of judge and tiers with noise-free grades, propensities
with the true examination, the click teacher without its weights, and on a log that a seer cleaned
of bots. A run that was broken off goes on where it stopped; seed 0 is the shipped domain.
"""

import argparse
import csv
import gzip
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student_t

from benchmarks.evaluated import judge_grades, tier_grades
from benchmarks.world_ablations import ablations
from flows.profiles import profile
from tasks.core.domain.catalog import Catalog
from tasks.core.labeling.agreement import weighted_kappa
from tasks.core.tables import Row, read_rows

DOMAIN, GRADES = "job_search", 5
COOKBOOK = (sys.executable, "-m", "flows.cli")
TIERS = ("policy_teacher", "assistant", "student", "pruned_student")
Figures = dict[str, float]


class Store:
    """A finished run's artifacts, the newest of each kind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def artifact(self, kind: str) -> Path:
        found = (self.folder / "artifacts" / kind).iterdir()
        return max(found, key=lambda folder: folder.stat().st_mtime)

    def report(self) -> dict[str, Any]:
        path = self.folder / DOMAIN / "latest" / "report.json"
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return report

    def sealed(self) -> list[Row]:
        rows = read_rows(self.artifact("golden") / "golden.parquet")
        return [row for row in rows if row["split"] == "sealed"]

    def catalog(self) -> Catalog:
        return Catalog.load(self.artifact("catalog"))


def simulated(seed: int, root: Path, *, scale: float = 1.0) -> None:
    """Write the world, if it is not there yet."""
    if not (root / "golden_data" / DOMAIN / "golden.csv").exists():
        world = ["--domain", DOMAIN, "--seed", str(seed), "--scale", str(scale)]
        subprocess.run([*COOKBOOK, "simulate", *world, "--root", str(root)], check=True)


def run_world(seed: int, root: Path, store: Path, profile_name: str) -> None:
    """Simulate the world and run the pipeline on it; a refused promotion is a result too."""
    simulated(seed, root)
    run = ["run", "--profile", profile_name, "--domain", DOMAIN]
    done = subprocess.run(
        [*COOKBOOK, *run, "--root", str(root), "--store", str(store)], check=False
    )
    if not (store / DOMAIN / "latest" / "report.json").exists():
        raise SystemExit(f"The run on seed {seed} ended without a report (exit {done.returncode}).")


def reported(report: dict[str, Any]) -> Figures:
    """The figures that the report holds, value and lower end of the interval."""
    figures: Figures = {"stage_minutes": sum(report["seconds_by_step"].values()) / 60}
    for tier in report["tiers"]:
        role = tier["role"]
        figures[f"{role}_ndcg_at_10"] = tier["golden"]["ndcg_at_10"]
        for goal, kept in tier["kept"].items():
            if role in ("student", "pruned_student") and kept:
                figures |= _with_low(f"{role}_kept_{goal}", kept)
    for other, gain in report["gains"]["student"].items():
        for goal, difference in gain.items():
            if difference:
                figures |= _with_low(f"student_minus_{other}_{goal}", difference)
    if report["personalization"]:
        figures |= _with_low("personalization_gain", report["personalization"]["gain"])
    return figures


def _with_low(name: str, interval: dict[str, float]) -> Figures:
    return {name: interval["value"], f"{name}_low": interval["low"]}


def truth_figures(store: Store, root: Path) -> Figures:
    """Kappa of judge and tiers with the noise-free grades of the sealed pairs."""
    rows = store.sealed()
    truth = _true_grades(root, rows)
    people = np.array([row["grade"] for row in rows])
    figures = {"people_kappa_with_truth": weighted_kappa(truth, people, GRADES)}
    graded = {"judge": judge_grades(store.artifact("judge"), store.catalog(), rows)}
    for tier in TIERS:
        _, graded[tier] = tier_grades(store.artifact(f"evaluated_{tier}"), len(rows), GRADES)
    for name, grades in graded.items():
        figures[f"{name}_kappa_with_truth"] = weighted_kappa(truth, grades, GRADES)
    return figures


def _true_grades(root: Path, rows: list[Row]) -> npt.NDArray[np.int64]:
    path = root / "golden_data" / DOMAIN / "truth" / "grades.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        known = {
            (row["query_id"], row["doc_id"]): int(row["grade"]) for row in csv.DictReader(file)
        }
    return np.array([known[row["query_id"], row["doc_id"]] for row in rows])


def propensity_figures(store: Store, root: Path) -> Figures:
    """Largest relative error of the propensities of positions 2 to 10."""
    path = store.artifact("impressions") / "propensities.json"
    estimated = np.array(json.loads(path.read_text(encoding="utf-8"))["values"])
    truth = root / "golden_data" / DOMAIN / "truth" / "propensities.csv"
    with truth.open(encoding="utf-8") as file:
        true = np.array([float(row["examination"]) for row in csv.DictReader(file)])
    errors = np.abs(estimated / estimated[0] / (true / true[0]) - 1)[1:]
    return {"largest_propensity_error": float(errors.max())}


def spread(worlds: list[Figures]) -> Figures:
    """Print each figure's mean over the worlds, its 95% interval and the spread; return them.

    The interval is of Student's t over worlds: what another world of the kind would do on average.
    """
    means: Figures = {}
    print(f"\n{'figure':46s} {'mean':>8s} {'95%':>17s} {'sd':>7s} {'least':>8s} {'most':>8s}")
    for name in worlds[0]:
        values = np.array([world[name] for world in worlds if name in world])
        sd = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
        mean, n = float(values.mean()), len(values)
        half = float(student_t.ppf(0.975, n - 1)) * sd / n**0.5 if n > 1 else float("nan")
        interval = f"[{mean - half:.3f}, {mean + half:.3f}]"
        print(
            f"{name:46s} {mean:8.3f} {interval:>17s} {sd:7.3f} "
            f"{values.min():8.3f} {values.max():8.3f}"
        )
        means |= {name: mean, f"{name}_sd": sd, f"{name}_half_width": half}
    return means


def main() -> None:
    """Run every world and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, required=True, help="folder for worlds and runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--profile", default="laptop")
    options = parser.parse_args()
    worlds = []
    for seed in options.seeds:
        root, folder = options.store / f"world-{seed}", options.store / f"runs-{seed}"
        run_world(seed, root, folder, options.profile)
        store = Store(folder)
        figures = reported(store.report()) | truth_figures(store, root)
        figures |= propensity_figures(store, root)
        truth = root / "golden_data" / DOMAIN / "truth"
        figures |= ablations(store.artifact, truth, profile(options.profile))
        print(json.dumps({"seed": seed, **figures}), flush=True)
        worlds.append(figures)
    means = spread(worlds)
    environment = {"python": platform.python_version(), "machine": platform.machine()}
    result = {"name": "worlds", "equal": None, "ratios": {}, "figures": means}
    print(json.dumps(result | {"environment": environment}))


if __name__ == "__main__":
    main()
