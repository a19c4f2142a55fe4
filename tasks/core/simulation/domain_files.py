"""Writes a world as a domain folder: the files a user would bring, and truth/ for tests."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from tasks.core.simulation.clicks import POSITIONS
from tasks.core.simulation.data_card import data_card
from tasks.core.simulation.jobs import SIZES
from tasks.core.simulation.members import AGE_BANDS, GENDERS
from tasks.core.simulation.reproducible_files import write_csv, write_lines
from tasks.core.simulation.truth_files import (
    dimension_cells,
    golden_keys,
    impression_ids,
    write_truth,
)
from tasks.core.simulation.world import World

_START = datetime(2026, 1, 5, tzinfo=UTC)
_CHUNK = 20_000


def write_domain(world: World, root: Path) -> Path:
    """Write golden_data/<policy name>/ under `root`; returns that folder. Bytes are reproducible.

    The policy itself is not copied. Existing files of the same names are replaced.
    """
    folder = root / "golden_data" / world.policy.name
    truth = folder / "truth"
    truth.mkdir(parents=True, exist_ok=True)
    _write_golden(world, folder / "golden.csv")
    _write_queries(world, folder / "queries.csv")
    _write_documents(world, folder / "documents.jsonl.gz")
    _write_members(world, folder / "members.jsonl.gz")
    _write_impressions(world, folder / "impressions.csv.gz")
    write_truth(world, truth)
    (folder / "DATA_CARD.md").write_text(data_card(world), encoding="utf-8")
    return folder


def _write_golden(world: World, path: Path) -> None:
    golden = world.golden
    dimensions = [f"dim_{name}" for name in golden.truth.dimensions]
    header = ["query_id", "query", "member_id", "doc_id", "grade", "rater_1", "rater_2"]
    ratings = golden.ratings
    rows = (
        (key[0], world.queries.text[query], key[1], key[2], *grades, golden.split[query])
        for key, query, *grades in zip(
            golden_keys(world),
            golden.query,
            ratings.grade,
            ratings.rater_1,
            ratings.rater_2,
            *dimension_cells(world),
            strict=True,
        )
    )
    write_csv(path, [*header, *dimensions, "split"], rows)


def _write_queries(world: World, path: Path) -> None:
    queries = world.queries
    rows = (
        (world.query_ids[row], queries.text[row], world.shown_members.ids[queries.member[row]])
        for row in world.labeled_traffic
    )
    write_csv(path, ["query_id", "query", "member_id"], rows)


def _write_documents(world: World, path: Path) -> None:
    shown = world.shown_jobs
    sizes = world.jobs.size(world.catalog)
    records = (
        {
            "doc_id": shown.ids[job],
            "title": shown.titles[job],
            "text": shown.texts[job],
            "attributes": shown.attributes[job],
            "groups": {"employer_size": SIZES[sizes[job]]},
        }
        for job in range(world.jobs.count)
    )
    write_lines(path, records)


def _write_members(world: World, path: Path) -> None:
    shown, members = world.shown_members, world.members
    records = (
        {
            "member_id": shown.ids[member],
            "text": shown.texts[member],
            "attributes": shown.attributes[member],
            "groups": {
                "gender": GENDERS[members.gender[member]],
                "age_band": AGE_BANDS[members.age_band[member]],
            },
        }
        for member in range(members.count)
    )
    write_lines(path, records)


def _write_impressions(world: World, path: Path) -> None:
    header = [
        "impression_id",
        "query_id",
        "query",
        "member_id",
        "doc_id",
        "position",
        "shown_at_random",
        "clicked",
        "saved",
        "applied",
        "timestamp",
    ]
    count = len(world.log.lists.query)
    starts = range(0, count, _CHUNK)
    rows = (row for start in starts for row in _impressions(world, start, start + _CHUNK))
    write_csv(path, header, rows)


def _impressions(world: World, first: int, last: int) -> Iterator[tuple[Any, ...]]:
    """The rows of some lists, column by column."""
    lists, actions, queries = world.log.lists, world.log.actions, world.queries
    last = min(last, len(lists.query))
    query = lists.query[first:last]
    per_list = [
        impression_ids(first, last, len(lists.query)),
        np.array(world.query_ids, dtype=object)[query],
        np.array(queries.text, dtype=object)[query],
        np.array(world.shown_members.ids, dtype=object)[queries.member[query]],
        lists.at_random[first:last].astype(np.int64),
        [_timestamp(int(second)) for second in lists.second[first:last]],
    ]
    ids, query_ids, texts, members, at_random, times = (
        np.repeat(np.asarray(column, dtype=object), POSITIONS) for column in per_list
    )
    docs = np.array(world.shown_jobs.ids, dtype=object)[lists.jobs[first:last].reshape(-1)]
    positions = np.tile(np.arange(1, POSITIONS + 1), last - first)
    done = [
        table[first:last].reshape(-1).astype(np.int64)
        for table in (actions.clicked, actions.saved, actions.applied)
    ]
    columns = (ids, query_ids, texts, members, docs, positions, at_random, *done, times)
    return zip(*columns, strict=True)


def _timestamp(second: int) -> str:
    return (_START + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ")
