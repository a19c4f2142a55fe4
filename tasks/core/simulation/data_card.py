"""The data card of a simulated domain: what it is, how it was made, what it is not good for."""

from typing import Any

import numpy as np

from tasks.core.simulation import clicks, golden
from tasks.core.simulation.members import AGE_BANDS, GENDERS, POPULATION_TASTE, TASTE_SPREAD, TASTES
from tasks.core.simulation.world import World


def planted(world: World) -> dict[str, Any]:
    """The numbers the simulator was given or drew, for tests and benchmarks to recover."""
    lists = world.log.lists
    held_out = [world.catalog.occupations.surfaces[i][0] for i in world.held_out]
    return {
        "policy": world.policy.name,
        "policy_version": world.policy.version,
        "policy_digest": world.policy.digest,
        "seed": world.seed,
        "scale": world.scale,
        "bot_list_share": float(np.mean(lists.bot)),
        "repeated_list_share": float(np.mean(lists.repeat_of >= 0)),
        "random_order_list_share": float(np.mean(lists.at_random)),
        "examination": [round(float(p), 6) for p in clicks.examination()],
        "click_intercept": clicks.INTERCEPT,
        "click_relevance": clicks.RELEVANCE,
        "population_taste": dict(zip(TASTES, POPULATION_TASTE.tolist(), strict=True)),
        "taste_spread": TASTE_SPREAD,
        "disparities": {
            "clicks": {"gender": clicks.GROUP_SHIFTED, "logit_shift": clicks.GROUP_SHIFT},
            "raters": {"age_band": golden.RATER_SHIFT_GROUP, "grade_shift": golden.RATER_SHIFT},
            "older_ranker": {
                "employer_size": "small",
                "score_shift": -clicks.SMALL_EMPLOYER_PENALTY,
            },
        },
        "held_out_occupations": held_out,
    }


def data_card(world: World) -> str:
    """Markdown for people who open the folder."""
    return f"# {world.policy.name}\n"
