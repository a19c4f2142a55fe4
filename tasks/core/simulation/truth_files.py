"""The truth/ folder: what is known because the world is simulated. Tests and benchmarks read it."""

import json
from pathlib import Path

from tasks.core.simulation.clicks import examination, job_appeal, taste_features
from tasks.core.simulation.data_card import planted
from tasks.core.simulation.members import TASTES
from tasks.core.simulation.reproducible_files import write_csv
from tasks.core.simulation.world import World


def golden_keys(world: World) -> list[tuple[str, str, str]]:
    """query_id, member_id and doc_id of every golden pair."""
    asker = world.queries.member[world.golden.query]
    return [
        (world.query_ids[query], world.shown_members.ids[member], world.shown_jobs.ids[job])
        for query, member, job in zip(world.golden.query, asker, world.golden.job, strict=True)
    ]


def dimension_cells(world: World) -> list[list[str]]:
    """One column per dimension; empty where it does not apply."""
    return [
        ["" if grade < 0 else str(grade) for grade in column]
        for column in world.golden.truth.dimensions.values()
    ]


def impression_ids(first: int, last: int, count: int) -> list[str]:
    """Ids of the lists first..last-1 of `count`, numbered from 1 in order of time."""
    width = max(5, len(str(count)))
    return [f"i{number + 1:0{width}d}" for number in range(first, last)]


def write_truth(world: World, folder: Path) -> None:
    """What only tests and benchmarks may read."""
    keys = golden_keys(world)
    truth = world.golden.truth
    dimensions = dimension_cells(world)
    write_csv(
        folder / "grades.csv.gz",
        ["query_id", "member_id", "doc_id", "grade", "mean", *truth.dimensions],
        (
            (*key, grade, f"{mean:.4f}", *cells)
            for key, grade, mean, *cells in zip(
                keys, truth.grade, truth.mean, *dimensions, strict=True
            )
        ),
    )
    facts = world.facts.columns(world.golden.query, world.golden.job)
    write_csv(
        folder / "facts.csv.gz",
        ["query_id", "member_id", "doc_id", *facts],
        (
            (*key, *values)
            for key, *values in zip(keys, *(c.tolist() for c in facts.values()), strict=True)
        ),
    )
    write_csv(
        folder / "propensities.csv",
        ["position", "examination"],
        ((k + 1, f"{p:.6f}") for k, p in enumerate(examination())),
    )
    _write_click_truth(world, folder)
    (folder / "planted.json").write_text(json.dumps(planted(world), indent=2) + "\n", "utf-8")


def _write_click_truth(world: World, folder: Path) -> None:
    members, catalog = world.members, world.catalog
    write_csv(
        folder / "members.csv.gz",
        ["member_id", "bot", "occupation", *TASTES],
        (
            (
                world.shown_members.ids[m],
                int(members.bot[m]),
                catalog.occupations.surfaces[members.occupation[m]][0],
                *(f"{taste:.4f}" for taste in members.taste[m]),
            )
            for m in range(members.count)
        ),
    )
    features = taste_features(catalog, world.jobs)
    appeal = job_appeal(world.jobs)
    write_csv(
        folder / "jobs.csv.gz",
        ["doc_id", "occupation", "held_out", "appeal", *TASTES],
        (
            (
                world.shown_jobs.ids[j],
                catalog.occupations.surfaces[world.jobs.occupation[j]][0],
                int(world.jobs.occupation[j] in world.held_out),
                f"{appeal[j]:.4f}",
                *(f"{feature:.4f}" for feature in features[j]),
            )
            for j in range(world.jobs.count)
        ),
    )
    _write_impression_truth(world, folder)


def _write_impression_truth(world: World, folder: Path) -> None:
    lists, log = world.log.lists, world.log
    ids = impression_ids(0, len(lists.query), len(lists.query))
    write_csv(
        folder / "lists.csv.gz",
        ["impression_id", "bot", "repeat_of"],
        (
            (name, int(bot), "" if source < 0 else ids[source])
            for name, bot, source in zip(ids, lists.bot, lists.repeat_of, strict=True)
        ),
    )
    write_csv(
        folder / "impressions.csv.gz",
        ["impression_id", "position", "grade", "attraction"],
        (
            (ids[row], position + 1, log.grade[row, position], f"{attracted:.4f}")
            for row in range(len(ids))
            for position, attracted in enumerate(log.actions.attraction[row])
        ),
    )
