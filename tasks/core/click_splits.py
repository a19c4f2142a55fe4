"""Which impressions train, calibrate, personalize and test: by member and by time.

Clicks are measured on members that nothing trained on. Personalization is measured on later
impressions of members seen before, and its random effects train on a middle period that the
scorers never saw: their offsets come from a model that did not train on those rows.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.core.propensities import MINIMUM_CLICKS
from tasks.core.tables import Row

Ints = npt.NDArray[np.int64]
Ids = Sequence[str] | npt.NDArray[np.str_]
USES = ("train", "personalize", "later", "calibrate", "held_out")
# Shares of the log's time: the first part trains scorers, the last tests personalization.
TRAIN_UNTIL, PERSONALIZE_UNTIL = 0.4, 0.8
CALIBRATION_MEMBERS = 0.1


@dataclass(frozen=True)
class Caps:
    """Most rows of each use."""

    train: int
    personalize: int
    later: int
    calibrate: int
    held_out: int


def assign_uses(
    member_ids: Ids,
    timestamps: npt.NDArray[np.float64],
    shown_at_random: Ints,
    clicked: Ints,
    *,
    impression_ids: Ids,
    held_out_members: float,
) -> npt.NDArray[np.str_]:
    """The use of each row, "" for none; all arguments but the share have shape (rows,).

    Where held-out members clicked at least `MINIMUM_CLICKS` times in lists of random order, they
    are measured on those alone: elsewhere the old ranker decided what had a chance to be clicked.
    Rows of nobody in particular are divided list by list, and have no effects to teach or to test.
    """
    shares = _shares(_askers(member_ids, impression_ids))
    first, second = np.quantile(timestamps, [TRAIN_UNTIL, PERSONALIZE_UNTIL])
    uses = np.where(timestamps <= first, "train", "personalize").astype("<U12")
    uses[timestamps > second] = "later"
    uses[shares < held_out_members + CALIBRATION_MEMBERS] = "calibrate"
    held_out = shares < held_out_members
    at_random = held_out & (shown_at_random == 1)
    few = clicked[at_random].sum() < MINIMUM_CLICKS
    uses[held_out] = "held_out" if few else ""
    uses[at_random] = "held_out"
    nobody = np.asarray(member_ids) == ""
    uses[nobody & np.isin(uses, ("personalize", "later"))] = ""
    return uses


def asker_of(row: Row) -> str:
    """With whom an impression's row stands or falls: its member, or its list where nobody is known.

    Whoever typed without a name is not one person: taken for one, they would all have one use, and
    an interval by member would know of one member.
    """
    asker: str = row["member_id"] or f"list {row['impression_id']}"
    return asker


def reserved(member_ids: Ids, *, held_out_members: float) -> npt.NDArray[np.bool_]:
    """Whether a row's member (rows,) calibrates or measures, so that nothing trains on it."""
    return _shares(member_ids) < held_out_members + CALIBRATION_MEMBERS


def cap_uses(
    uses: npt.NDArray[np.str_],
    impression_ids: Ids,
    caps: Caps,
    *,
    seed: int,
    member_ids: Ids | None = None,
) -> npt.NDArray[np.bool_]:
    """Which rows to keep, shape (rows,): whole impressions of each use up to its cap.

    With ``member_ids`` (rows,) what personalizes and what tests that are whole members instead,
    the same ones: a dozen rows of everybody would teach nothing about anybody.
    """
    generator = np.random.default_rng(seed)
    _, lists = np.unique(np.asarray(impression_ids), return_inverse=True)
    whole = dict.fromkeys(USES, (lists, generator.permutation(lists.max() + 1)))
    if member_ids is not None:
        _, members = np.unique(np.asarray(member_ids), return_inverse=True)
        order = generator.permutation(members.max() + 1)
        whole |= dict.fromkeys(("personalize", "later"), (members, order))
    keep = np.zeros(len(uses), dtype=bool)
    for use, (units, order) in whole.items():
        rows = np.flatnonzero(uses == use)
        sizes = np.bincount(units[rows], minlength=len(order))
        order = order[(sizes[order] > 0) & (sizes[order] <= getattr(caps, use))]
        chosen = order[np.cumsum(sizes[order]) <= getattr(caps, use)]
        keep[rows[np.isin(units[rows], chosen)]] = True
    return keep


def _askers(member_ids: Ids, impression_ids: Ids) -> npt.NDArray[np.str_]:
    """`asker_of` each row, (rows,)."""
    members, lists = np.asarray(member_ids, np.str_), np.asarray(impression_ids, np.str_)
    if (members != "").all():
        return members
    return np.where(members == "", np.char.add("list ", lists), members)


def _shares(member_ids: Ids) -> npt.NDArray[np.float64]:
    members, codes = np.unique(np.asarray(member_ids), return_inverse=True)
    return np.array([_share(str(member)) for member in members])[codes]


def _share(member_id: str) -> float:
    """A number in [0, 1) that a member keeps from run to run."""
    return int(hashlib.sha256(f"member:{member_id}".encode()).hexdigest()[:8], 16) / 2.0**32
