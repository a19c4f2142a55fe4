"""Random effects without those of members who are forgotten; everybody else's stay as they are."""

from collections.abc import Container, Iterator
from dataclasses import replace

import numpy as np

from tasks.core.personalization.game_model import GameModel, RandomEffect

MEMBER = "member"


def has_effect(game: GameModel, member_id: str) -> bool:
    """Whether a member has coefficients of their own."""
    return any(game.models[name].coefficients(member_id) is not None for name in _own(game))


def without_members(game: GameModel, forgotten: Container[str]) -> GameModel:
    """The model without the coefficients of these members, who then score as unknown ones do."""
    models = dict(game.models)
    for name in _own(game):
        members = models[name].entity_ids.to_pylist()
        stay = [place for place, member in enumerate(members) if member not in forgotten]
        if len(stay) < len(members):
            models[name] = models[name].take(np.array(stay, dtype=np.int64))
    return replace(game, models=models)


def _own(game: GameModel) -> Iterator[str]:
    """Coordinates with one model a member."""
    for one in game.coordinates:
        if isinstance(one, RandomEffect) and one.entity == MEMBER and one.name in game.models:
            yield one.name
