"""Step: the click log in; clean impressions with propensities and a use each out."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from tasks.core.click_splits import USES, Caps, assign_uses, cap_uses
from tasks.core.clicks_filter import people_only
from tasks.core.domain.impressions import actions_of
from tasks.core.errors import CookbookError
from tasks.core.propensities import (
    MINIMUM_CLICKS,
    estimate_propensities,
    inverse_propensity_weights,
)
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.store.files import write_json
from tasks.core.tables import read_table, write_table
from tasks.core.text import pair_id
from tasks.exchange import IMPRESSIONS, LOG, PROPENSITIES, TRAINING_LOG, Domain
from tasks.run import current_run
from tasks.settings import ImpressionSettings
from tasks.step import make, step

# A count that stands only where held-out members have too few clicks in random order.
_AS_SHOWN = "held_out_as_shown"


@step
def collect_impressions(domain: Domain, settings: ImpressionSettings) -> Artifact | None:
    """Filter bots and repeats, estimate propensities, divide by member and time."""
    log = domain.impressions
    if log is None:
        return None

    def build(bench: Workbench) -> Counts:
        table = read_table(log.file(LOG))
        columns, dropped = people_only(table, datetime.now(UTC))
        propensities = estimate_propensities(
            columns["position"].astype(np.int64),
            columns["clicked"],
            columns["shown_at_random"],
            pairs=_codes(columns["query_id"], columns["doc_id"]),
        )
        columns["weight"] = inverse_propensity_weights(
            columns["position"].astype(np.int64), propensities, clip=1 / settings.propensity_clip
        )
        columns["use"] = assign_uses(
            columns["member_id"],
            columns["timestamp"],
            columns["shown_at_random"],
            columns["clicked"],
            impression_ids=columns["impression_id"],
            held_out_members=settings.held_out_members,
        )
        as_shown = _rows_as_shown(columns)
        _write_training_log(bench.out / TRAINING_LOG, columns, actions_of(table))
        keep = cap_uses(
            columns["use"],
            columns["impression_id"],
            _caps(settings),
            seed=settings.seed,
            member_ids=columns["member_id"],
        )
        columns = {name: values[keep] for name, values in columns.items()}
        _check_training(columns["use"], len(keep), settings)
        columns["pair_id"] = _pair_ids(columns)
        rows = write_table(bench.out / IMPRESSIONS, columns)
        write_json(
            bench.out / PROPENSITIES,
            {**propensities.to_json(), "actions": list(actions_of(table))},
        )
        uses = {use: int((columns["use"] == use).sum()) for use in USES}
        left_out = {f"dropped_{k}": n for k, n in dropped.items() if n}
        return {"rows": rows, **uses, **left_out, **as_shown}

    made = make("impressions", build, module=__name__, settings=settings, upstream=[log])
    if _AS_SHOWN in made.counts:
        current_run().skip(
            "measuring in random order",
            f"members held out clicked fewer than {MINIMUM_CLICKS} times in lists that were shown "
            "in random order: they are measured on all lists that they were shown",
        )
    return made


def _rows_as_shown(columns: dict[str, Any]) -> Counts:
    """Held-out rows that an older ranker put into order, where the log has random order too."""
    as_shown = (columns["use"] == "held_out") & (columns["shown_at_random"] == 0)
    few = columns["shown_at_random"].any() and as_shown.any()
    return {_AS_SHOWN: int(as_shown.sum())} if few else {}


def _check_training(uses: Any, n_rows: int, settings: ImpressionSettings) -> None:
    """Without a row to train on the click teacher would end in a traceback, hours later."""
    if not (uses == "train").any():
        raise CookbookError(
            "The click log teaches by whole lists of its first 40% of the time, of people who are "
            f"neither held out nor calibrate, and of at most {settings.training_rows:,} rows "
            f"(impressions.training_rows); of its {n_rows:,} rows none is such. Bring a longer "
            "log, or leave impressions out."
        )


def _write_training_log(path: Path, columns: dict[str, Any], actions: Sequence[str]) -> None:
    """All rows that may train, however few of them a teacher is given: what was done, by weight."""
    training = columns["use"] == "train"
    names = ("query", "doc_id", *actions, "weight")
    write_table(path, {name: columns[name][training] for name in names})


def _caps(settings: ImpressionSettings) -> Caps:
    return Caps(
        train=settings.training_rows,
        personalize=settings.personalization_rows,
        later=settings.later_rows,
        calibrate=settings.calibration_rows,
        held_out=settings.evaluation_rows,
    )


def _codes(queries: Any, documents: Any) -> Any:
    _, first = np.unique(queries, return_inverse=True)
    _, second = np.unique(documents, return_inverse=True)
    return first * (int(second.max()) + 1) + second


def _pair_ids(columns: dict[str, Any]) -> list[str]:
    keys = zip(columns["query_id"], columns["member_id"], columns["doc_id"], strict=True)
    return [pair_id(query, member or None, document) for query, member, document in keys]
