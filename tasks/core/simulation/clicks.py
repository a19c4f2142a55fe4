"""The click log of an older ranker: what was shown, in which order, and what members did.

P(click) = examination(position) * sigmoid(attraction); attraction mixes relevance, the member's
tastes and the job's own appeal.
"""

from dataclasses import dataclass

import numpy as np

from tasks.core.simulation.catalog import Bools, Catalog, Floats, Ints
from tasks.core.simulation.jobs import Jobs
from tasks.core.simulation.members import GENDERS, Members

POSITIONS = 10
EXAMINATION_DECAY = 0.5
RANDOM_SHARE = 0.05
BOT_SHARE = 0.03
REPEAT_SHARE = 0.02
BOT_CLICK_RATE = 0.92
DAYS = 60
INTERCEPT = -2.5
RELEVANCE = 3.2  # logits from grade 0 to the top grade
GROUP_SHIFTED = "woman"
GROUP_SHIFT = -0.3
_MISSION = ("healthcare", "education", "government", "nonprofit")
_REPEATED_CLICK = 0.85


@dataclass(frozen=True, eq=False)
class Lists:
    """Result lists: one row per list, `jobs` in the order shown (lists, POSITIONS)."""

    query: Ints
    jobs: Ints
    at_random: Bools
    second: Ints  # since the start of the log
    bot: Bools
    repeat_of: Ints  # row of the list it repeats; -1: none


@dataclass(frozen=True, eq=False)
class Actions:
    """What happened at each shown position, (lists, POSITIONS)."""

    attraction: Floats  # P(click | examined)
    clicked: Bools
    saved: Bools
    applied: Bools


def examination() -> Floats:
    """Probability that each position is looked at: k ** -0.5, so 1 at the top, 0.32 at 10."""
    positions = np.arange(1, POSITIONS + 1, dtype=np.float64)
    probability: Floats = positions**-EXAMINATION_DECAY
    return probability


def taste_features(catalog: Catalog, jobs: Jobs) -> Floats:
    """(jobs, tastes): what members may like in a job apart from its match, in TASTES' order.

    Pay counts only where the posting states it.
    """
    middle = (jobs.pay_low + jobs.pay_high) / 2
    pay = np.clip(np.log(middle / 75.0) / 0.5, -1.5, 1.5) * jobs.pay_stated
    mission = np.isin(jobs.industry, [catalog.industries.index(name) for name in _MISSION])
    return np.stack(
        [
            np.array([1.0, 0.4, 0.0])[jobs.workplace],
            pay,
            mission.astype(np.float64),
            jobs.flexible.astype(np.float64),
            jobs.training.astype(np.float64),
            (jobs.posted_days <= 7).astype(np.float64),
        ],
        axis=1,
    )


def job_appeal(jobs: Jobs) -> Floats:
    """Appeal in logits that is the same for every member: latent quality, less for bad postings."""
    appeal: Floats = jobs.quality - 0.5 * jobs.vague - 0.6 * jobs.stuffed - 0.3 * jobs.commission
    return appeal


def attraction(
    catalog: Catalog, jobs: Jobs, members: Members, member: Ints, job: Ints, grade: Ints, top: int
) -> Floats:
    """P(click | examined) of aligned members and jobs."""
    tastes = (members.taste[member] * taste_features(catalog, jobs)[job]).sum(axis=-1)
    shifted = members.gender[member] == GENDERS.index(GROUP_SHIFTED)
    logit = INTERCEPT + RELEVANCE * grade / top + tastes + job_appeal(jobs)[job]
    return sigmoid(logit + GROUP_SHIFT * shifted)


def sigmoid(logit: Floats) -> Floats:
    """1 / (1 + exp(-logit))."""
    probability: Floats = 1.0 / (1.0 + np.exp(-logit))
    return probability


def act(
    rng: np.random.Generator, attracted: Floats, grade: Ints, top: int, lists: Lists
) -> Actions:
    """Clicks by examination times attraction; saves and applications only after a click.

    Bots click nearly all; a repeated list gets most of its first clicks again.
    """
    clicked = rng.random(attracted.shape) < examination() * attracted
    bot = lists.bot[:, None]
    clicked = np.where(bot, rng.random(attracted.shape) < BOT_CLICK_RATE, clicked)
    again = clicked[np.maximum(lists.repeat_of, 0)]
    again &= rng.random(attracted.shape) < _REPEATED_CLICK
    clicked = np.where((lists.repeat_of >= 0)[:, None], again, clicked)
    match = grade / top
    saved = rng.random(attracted.shape) < sigmoid(-2.4 + 1.2 * match + 1.2 * attracted)
    applied = rng.random(attracted.shape) < sigmoid(-4.6 + 3.2 * match + 0.8 * attracted)
    human = clicked & ~bot
    return Actions(attracted, clicked, saved & human, applied & human)
