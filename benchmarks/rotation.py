"""The whole pipeline k times, every golden query sealed once: figures for a small golden set.

    python -m benchmarks.rotation --root FOLDER --domain NAME --store FOLDER [--folds 3]

One split of a few dozen queries leaves intervals wider than the differences that matter, and a
lucky one flatters whatever is easy on it. Here fold k's queries are sealed, of the others two in
seven decide (gate) and the rest are tune; each fold is a run of its own with its own judge,
teachers and students, and no query is measured by a model that saw it. Figures are pooled over
all queries, differences paired by query. The folds are copies of the domain with another split
column; a run that was broken off goes on where it stopped.
"""

import argparse
import csv
import hashlib
import json
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.evaluated import judge_grades, tier_grades
from tasks.core.domain.catalog import Catalog
from tasks.core.intervals import bootstrap_mean
from tasks.core.labeling.agreement import human_kappa, weighted_kappa
from tasks.core.policies.parse import parse_policy
from tasks.core.ranking import ndcg_at_10
from tasks.core.tables import Row, read_rows, read_table
from tasks.core.text import normalize_query
from tasks.core.training.scorer import relevance
from tasks.exchange import POLICY

Floats = npt.NDArray[np.float64]
TIERS = ("policy_teacher", "assistant", "student", "pruned_student")
OTHERS = ("bm25", "embedding")
GATE_SHARE = 2 / 7


@dataclass(frozen=True)
class Fold:
    """One fold's sealed pairs and what every ranker said about them; grades are whole numbers.

    ``grade_count`` is the policy's: people may have given no pair the highest grade.
    """

    grade_count: int
    rows: list[Row]
    scores: dict[str, Floats]
    grades: dict[str, npt.NDArray[np.int64]]

    def ndcg(self, ranker: str) -> Floats:
        """NDCG@10 of each query that has a grade above 0."""
        values: Floats = ndcg_at_10(
            [row["query_id"] for row in self.rows],
            [row["doc_id"] for row in self.rows],
            np.array([row["grade"] for row in self.rows]),
            self.scores[ranker],
            [row["member_id"] or "" for row in self.rows],
        ).values
        return values


def split_of(query: str, fold: int, folds: int) -> str:
    """The split of a query in a fold, by its normalized form: sealed in exactly one fold."""
    number = int(hashlib.sha256(f"fold:{normalize_query(query)}".encode()).hexdigest()[:8], 16)
    if number % folds == fold:
        return "sealed"
    rest = int(hashlib.sha256(f"gate:{normalize_query(query)}".encode()).hexdigest()[:8], 16)
    return "gate" if rest / 2**32 < GATE_SHARE else "tune"


def write_fold(root: Path, domain: str, copy: Path, fold: int, folds: int) -> None:
    """A copy of the domain under ``copy`` whose golden.csv has the fold's splits."""
    for part in ("policy", "golden_data"):
        shutil.copytree(root / part / domain, copy / part / domain, dirs_exist_ok=True)
    path = copy / "golden_data" / domain / "golden.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["split"] = split_of(row["query"], fold, folds)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def run_fold(copy: Path, domain: str, store: Path) -> None:
    """The pipeline on one fold; a refused promotion is a result like any other."""
    command = [sys.executable, "-m", "flows.cli", "run", "--root", str(copy)]
    command += ["--domain", domain, "--store", str(store)]
    done = subprocess.run(command, check=False)
    if not (store / domain / "latest" / "report.json").exists():
        raise SystemExit(f"The run of {copy.name} ended without a report (exit {done.returncode}).")


def read_fold(store: Path) -> Fold:
    """Sealed pairs and scores out of a fold's store."""

    def artifact(kind: str) -> Path:
        """The newest one: a store may hold those of an earlier version of the code."""
        return max(
            (store / "artifacts" / kind).iterdir(), key=lambda folder: folder.stat().st_mtime
        )

    golden = read_rows(artifact("golden") / "golden.parquet")
    rows = [row for row in golden if row["split"] == "sealed"]
    grade_count = parse_policy(artifact("policy") / POLICY).grade_count
    scores: dict[str, Floats] = {}
    judged = judge_grades(artifact("judge"), Catalog.load(artifact("catalog")), rows)
    grades: dict[str, npt.NDArray[np.int64]] = {"judge": judged}
    for tier in TIERS:
        probabilities, grades[tier] = tier_grades(
            artifact(f"evaluated_{tier}"), len(rows), grade_count
        )
        scores[tier] = relevance(probabilities)
    others = read_table(artifact("evaluated_baselines") / "logits.parquet")
    scores |= {name: np.array(others[name], dtype=np.float64)[: len(rows)] for name in OTHERS}
    return Fold(grade_count, rows, scores, grades)


def pooled(folds: list[Fold]) -> dict[str, float]:
    """Figures over all folds' queries, printed as a table on the way."""
    truth = np.array([row["grade"] for fold in folds for row in fold.rows])
    ndcg = {name: np.concatenate([fold.ndcg(name) for fold in folds]) for name in TIERS + OTHERS}
    figures: dict[str, float] = {"queries": len(ndcg["student"]), "pairs": len(truth)}
    print(f"\n{len(ndcg['student'])} queries with a grade above 0, each sealed once")
    figures |= _judges(folds, truth)
    for name, values in ndcg.items():
        mean = bootstrap_mean(values, n_resamples=2000)
        line = f"{name:16s} NDCG@10 {mean.value:.3f} [{mean.low:.3f}, {mean.high:.3f}]"
        figures[f"{name}_ndcg_at_10"] = mean.value
        if name in TIERS:
            graded = np.concatenate([fold.grades[name] for fold in folds])
            kappa = weighted_kappa(truth, graded, folds[0].grade_count)
            figures[f"{name}_kappa"] = kappa
            line += f"  kappa {kappa:.3f}"
        print(line)
    for tier in ("policy_teacher", "student", "pruned_student"):
        for other in OTHERS:
            gain = bootstrap_mean(ndcg[tier] - ndcg[other], n_resamples=2000)
            print(f"{tier} - {other}: {gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]")
            figures |= {f"{tier}_minus_{other}": gain.value}
            figures |= {f"{tier}_minus_{other}_low": gain.low}
            figures |= {f"{tier}_minus_{other}_high": gain.high}
    return figures


def _judges(folds: list[Fold], truth: npt.NDArray[np.int64]) -> dict[str, float]:
    """Kappa of the folds' judges with people, and of every rater with the others' median."""
    judged = np.concatenate([fold.grades["judge"] for fold in folds])
    figures = {"judge_kappa": weighted_kappa(truth, judged, folds[0].grade_count)}
    people = human_kappa([row["raters"] for fold in folds for row in fold.rows])
    if people is not None:
        figures["people_kappa"] = people
    for name, kappa in figures.items():
        print(f"{name:16s} {kappa:.3f}")
    return figures


def main() -> None:
    """Run every fold and print the pooled figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--domain", required=True)
    parser.add_argument("--store", type=Path, required=True, help="folder for the folds' runs")
    parser.add_argument("--folds", type=int, default=3)
    options = parser.parse_args()
    found = []
    for fold in range(options.folds):
        copy, store = options.store / f"domain-{fold}", options.store / f"runs-{fold}"
        write_fold(options.root, options.domain, copy, fold, options.folds)
        run_fold(copy, options.domain, store)
        found.append(read_fold(store))
    figures = pooled(found)
    environment = {"python": platform.python_version(), "machine": platform.machine()}
    result = {"name": "rotation", "equal": None, "ratios": {}, "figures": figures}
    print(json.dumps(result | {"environment": environment}))


if __name__ == "__main__":
    main()
