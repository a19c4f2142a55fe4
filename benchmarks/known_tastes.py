"""Member tastes that the simulator planted, next to those that random effects recover.

    python -m benchmarks.known_tastes [--domain-folder golden_data/job_search]

Reads the click log and its truth/ folder, which the pipeline never does. A member's effect sees
the six traits of a job that members may like; its offset is what the simulator adds for the
match and the job's appeal, so that what is left is the member's own taste, beside the mean one.
Members keep their first 10, 25, 50 ... rows; the correlation is taken over tastes and over the
members who had as many, or 50.

"looked at": clicks drawn anew from the world's own P(click | looked at), every row looked at.
"as logged": the log's clicks, which need a look too; offset and traits are corrected for the place,
to first order: beside a click that the place makes rare a taste moves the logit less.
"limit": the same clicks with everything known that can be: the most probable tastes under the prior
they were drawn from, the true appeal of every job and the exact P(look) of every place. No
estimator that reads these clicks can be expected to do much better: what it lacks, the log lacks.

A last table shows logs of the same world that are longer: every list is shown again, looked at and
clicked anew, and the estimator is that of "as logged".
"""

import argparse
import csv
import gzip
import json
import platform
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from tasks.core.personalization.options import RandomEffectOptions
from tasks.core.personalization.random_effects import fit_random_effect

Array = npt.NDArray[np.float64]
TRAITS = ("remote", "pay", "mission", "flexible_hours", "training", "fresh")
ROWS_KEPT = (10, 25, 50, 100, 200, 400)
TIMES_AS_LONG = (1, 2, 4, 8)
ALL, LEAST = 10_000, 50
# The spread of tastes that the simulator draws: the right prior, known here and nowhere else.
L2_WEIGHT = 1 / 0.8**2


@dataclass(frozen=True)
class Log:
    """Rows in time order: members (n,), traits (n, 6); clicks and offsets (n,) by kind.

    `slopes` (n,) by kind: how far the logit moves with attraction's.
    `examined` (n,) is P(look) of each row's place, `attracted` (n,) is P(click | look).
    """

    members: npt.NDArray[np.str_]
    traits: Array
    clicked: dict[str, Array]
    offsets: dict[str, Array]
    slopes: dict[str, Array]
    tastes: dict[str, Array]
    mean_taste: Array
    examined: Array
    attracted: Array


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file, packed or not."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def read_log(folder: Path) -> Log:
    """Clicks of people, and what the world knows of them."""
    truth = folder / "truth"
    planted = json.loads((truth / "planted.json").read_text(encoding="utf-8"))
    lists = {row["impression_id"]: row for row in read_csv(truth / "lists.csv.gz")}
    jobs = {
        row["doc_id"]: np.array([float(row[name]) for name in TRAITS])
        for row in read_csv(truth / "jobs.csv.gz")
    }
    tastes = {
        row["member_id"]: np.array([float(row[name]) for name in TRAITS])
        for row in read_csv(truth / "members.csv.gz")
        if row["bot"] == "0"
    }
    mean = np.array([planted["population_taste"][name] for name in TRAITS])
    attraction = {
        (row["impression_id"], row["position"]): float(row["attraction"])
        for row in read_csv(truth / "impressions.csv.gz")
    }
    kept = [
        row
        for row in read_csv(folder / "impressions.csv.gz")
        if row["member_id"] in tastes
        and lists[row["impression_id"]]["bot"] == "0"
        and not lists[row["impression_id"]]["repeat_of"]
    ]
    kept.sort(key=lambda row: row["timestamp"])
    traits = np.array([jobs[row["doc_id"]] for row in kept])
    drawn = np.array([tastes[row["member_id"]] for row in kept])
    attracted = np.array([attraction[row["impression_id"], row["position"]] for row in kept])
    attracted = np.clip(attracted, 5e-5, 1 - 5e-5)  # the file has four decimals
    place = np.array([int(row["position"]) for row in kept])
    examined = np.array(planted["examination"])[place - 1]
    own = (traits * (drawn - mean)).sum(axis=1)
    slope = (1 - attracted) / (1 - attracted * examined)
    looked = np.random.default_rng(0).random(len(kept)) < attracted
    return Log(
        np.array([row["member_id"] for row in kept]),
        traits,
        {
            "looked at": looked.astype(np.float64),
            "as logged": np.array([float(row["clicked"]) for row in kept]),
        },
        {
            "looked at": logit(attracted) - own,
            "as logged": logit(attracted * examined) - own * slope,
        },
        {"looked at": np.ones(len(kept)), "as logged": slope},
        tastes,
        mean,
        examined,
        attracted,
    )


def longer(log: Log, times: int) -> Log:
    """The same lists, `times` as often, with looks and clicks drawn anew."""
    again = np.tile(np.arange(len(log.members)), times)
    chance = (log.examined * log.attracted)[again]
    drawn = np.random.default_rng(times).random(len(again)) < chance
    return replace(
        log,
        members=log.members[again],
        traits=log.traits[again],
        clicked={"as logged": drawn.astype(np.float64)},
        offsets={"as logged": log.offsets["as logged"][again]},
        slopes={"as logged": log.slopes["as logged"][again]},
        examined=log.examined[again],
        attracted=log.attracted[again],
    )


def first_rows(members: npt.NDArray[np.str_], count: int) -> npt.NDArray[np.int64]:
    """Places of each member's first rows, at most `count`."""
    seen: dict[str, int] = {}
    kept = []
    for place, member in enumerate(members.tolist()):
        seen[member] = seen.get(member, 0) + 1
        if seen[member] <= count:
            kept.append(place)
    return np.array(kept, dtype=np.int64)


def fitted(log: Log, kind: str, rows: npt.NDArray[np.int64]) -> dict[str, Array]:
    """Tastes by member beside the mean one, as random effects find them."""
    model = fit_random_effect(
        log.members[rows],
        log.traits[rows] * log.slopes[kind][rows, None],
        log.clicked[kind][rows],
        offsets=log.offsets[kind][rows],
        feature_names=TRAITS,
        options=RandomEffectOptions(l2_weight=L2_WEIGHT, intercept="absent", local_features=False),
    )
    return dict(zip(model.entity_ids.to_pylist(), model.dense(), strict=True))


def most_probable(log: Log, kind: str, rows: npt.NDArray[np.int64]) -> dict[str, Array]:
    """Tastes by member that maximize prior times P(look) * P(click | look), by Fisher scoring."""
    names, owner = np.unique(log.members[rows], return_inverse=True)
    own = np.split(rows[np.argsort(owner, kind="stable")], np.cumsum(np.bincount(owner))[:-1])
    found = {}
    for name, part in zip(names.tolist(), own, strict=True):
        traits, clicked, seen = log.traits[part], log.clicked["as logged"][part], log.examined[part]
        taste = np.zeros(len(TRAITS))
        for _ in range(30):
            attracted = expit(log.offsets["looked at"][part] + traits @ taste)
            rest = (1 - attracted) / (1 - seen * attracted)
            slope = traits.T @ ((clicked - seen * attracted) * rest) - L2_WEIGHT * taste
            information = (traits.T * (seen * attracted * (1 - attracted) * rest)) @ traits
            step = np.linalg.solve(information + L2_WEIGHT * np.eye(len(taste)), slope)
            taste = taste + step
            if np.abs(step).max() < 1e-9:
                break
        found[name] = taste
    return found


def recovered(log: Log, kind: str, count: int) -> dict[str, float]:
    """Correlation of recovered and planted tastes, in all and by taste; mean size of an effect."""
    rows = first_rows(log.members, count)
    names, counts = np.unique(log.members[rows], return_counts=True)
    everyone = KINDS[kind](log, kind, rows)
    least = min(count, LEAST)
    full = [name for name, own in zip(names.tolist(), counts.tolist(), strict=True) if own >= least]
    found = np.array([everyone[member] for member in full])
    true = np.array([log.tastes[member] for member in full]) - log.mean_taste
    total = np.corrcoef((found + log.mean_taste).ravel(), (true + log.mean_taste).ravel())[0, 1]
    return {
        "members": float(len(full)),
        "correlation": float(total),
        "correlation_of_own": float(np.corrcoef(found.ravel(), true.ravel())[0, 1]),
        "mean_size": float(np.abs(found).mean()),
    }


KINDS = {"looked at": fitted, "as logged": fitted, "limit": most_probable}


def main() -> None:
    """Print a table for each kind of click, then one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--domain-folder", type=Path, default=Path("golden_data/job_search"))
    log = read_log(parser.parse_args().domain_folder)
    figures: dict[str, float] = {}
    for kind in KINDS:
        print(f"\nClicks {kind}: planted and recovered tastes, by rows of a member")
        print(f"{'rows':>6}{'members':>9}{'correlation':>13}{'own taste':>11}{'mean size':>11}")
        for count in (*ROWS_KEPT, ALL):
            found = recovered(log, kind, count)
            label = "all" if count == ALL else str(count)
            print(
                f"{label:>6}{found['members']:9.0f}{found['correlation']:13.3f}"
                f"{found['correlation_of_own']:11.3f}{found['mean_size']:11.3f}"
            )
            name = kind.replace(" ", "_")
            figures |= {f"{key}_{name}_{count}": value for key, value in found.items()}
    print("\nClicks of longer logs, all rows")
    print(f"{'times':>6}{'rows each':>11}{'correlation':>13}{'own taste':>11}")
    for times in TIMES_AS_LONG:
        drawn = longer(log, times)
        found = recovered(drawn, "as logged", times * ALL)
        each = len(drawn.members) / len(log.tastes)
        print(
            f"{times:>6}{each:11.0f}{found['correlation']:13.3f}{found['correlation_of_own']:11.3f}"
        )
        figures |= {f"{key}_longer_{times}": value for key, value in found.items()}
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    result = {"name": "known_tastes", "equal": True, "ratios": {}, "figures": figures}
    print(json.dumps({**result, "environment": versions}))


if __name__ == "__main__":
    main()
