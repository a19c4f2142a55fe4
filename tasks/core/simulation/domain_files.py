"""Writes a world as a domain folder: the files a user would bring, and truth/ for tests."""

import csv
import gzip
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from tasks.core.simulation.clicks import (
    POSITIONS,
    examination,
    job_appeal,
    taste_features,
)
from tasks.core.simulation.data_card import data_card, planted
from tasks.core.simulation.jobs import SIZES
from tasks.core.simulation.members import AGE_BANDS, GENDERS, TASTES
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
    _write_truth(world, truth)
    (folder / "DATA_CARD.md").write_text(data_card(world), encoding="utf-8")
    return folder


@contextmanager
def _text_file(path: Path) -> Iterator[io.TextIOWrapper]:
    """A text file with Unix line ends; a .gz name gives gzip without name and time in its head."""
    with path.open("wb") as raw:
        if path.suffix != ".gz":
            with io.TextIOWrapper(raw, encoding="utf-8", newline="") as text:
                yield text
            return
        with gzip.GzipFile("", "wb", compresslevel=9, fileobj=raw, mtime=0) as packed:
            with io.TextIOWrapper(packed, encoding="utf-8", newline="") as text:
                yield text


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with _text_file(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _write_lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
    with _text_file(path) as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _golden_keys(world: World) -> list[tuple[str, str, str]]:
    asker = world.queries.member[world.golden.query]
    return [
        (world.query_ids[query], world.shown_members.ids[member], world.shown_jobs.ids[job])
        for query, member, job in zip(world.golden.query, asker, world.golden.job, strict=True)
    ]


def _dimension_cells(world: World) -> list[list[str]]:
    """One column per dimension; empty where it does not apply."""
    return [
        ["" if grade < 0 else str(grade) for grade in column]
        for column in world.golden.truth.dimensions.values()
    ]


def _write_golden(world: World, path: Path) -> None:
    golden = world.golden
    dimensions = [f"dim_{name}" for name in golden.truth.dimensions]
    header = ["query_id", "query", "member_id", "doc_id", "grade", "rater_1", "rater_2"]
    ratings = golden.ratings
    rows = (
        (key[0], world.queries.text[query], key[1], key[2], *grades, golden.split[query])
        for key, query, *grades in zip(
            _golden_keys(world),
            golden.query,
            ratings.grade,
            ratings.rater_1,
            ratings.rater_2,
            *_dimension_cells(world),
            strict=True,
        )
    )
    _write_csv(path, [*header, *dimensions, "split"], rows)


def _write_queries(world: World, path: Path) -> None:
    queries = world.queries
    rows = (
        (world.query_ids[row], queries.text[row], world.shown_members.ids[queries.member[row]])
        for row in world.labeled_traffic
    )
    _write_csv(path, ["query_id", "query", "member_id"], rows)


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
    _write_lines(path, records)


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
    _write_lines(path, records)


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
    _write_csv(path, header, rows)


def impression_ids(first: int, last: int, count: int) -> list[str]:
    """Ids of the lists first..last-1 of `count`, numbered from 1 in order of time."""
    width = max(5, len(str(count)))
    return [f"i{number + 1:0{width}d}" for number in range(first, last)]


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


def _write_truth(world: World, folder: Path) -> None:
    """What only tests and benchmarks may read."""
    keys = _golden_keys(world)
    truth = world.golden.truth
    dimensions = _dimension_cells(world)
    _write_csv(
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
    _write_csv(
        folder / "facts.csv.gz",
        ["query_id", "member_id", "doc_id", *facts],
        (
            (*key, *values)
            for key, *values in zip(keys, *(c.tolist() for c in facts.values()), strict=True)
        ),
    )
    _write_csv(
        folder / "propensities.csv",
        ["position", "examination"],
        ((k + 1, f"{p:.6f}") for k, p in enumerate(examination())),
    )
    _write_click_truth(world, folder)
    (folder / "planted.json").write_text(json.dumps(planted(world), indent=2) + "\n", "utf-8")


def _write_click_truth(world: World, folder: Path) -> None:
    members, catalog = world.members, world.catalog
    _write_csv(
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
    _write_csv(
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
    _write_csv(
        folder / "lists.csv.gz",
        ["impression_id", "bot", "repeat_of"],
        (
            (name, int(bot), "" if source < 0 else ids[source])
            for name, bot, source in zip(ids, lists.bot, lists.repeat_of, strict=True)
        ),
    )
    _write_csv(
        folder / "impressions.csv.gz",
        ["impression_id", "position", "grade", "attraction"],
        (
            (ids[row], position + 1, log.grade[row, position], f"{attracted:.4f}")
            for row in range(len(ids))
            for position, attracted in enumerate(log.actions.attraction[row])
        ),
    )
