"""The folder that a personalization model is kept in: game.json and one Arrow file a coordinate."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tasks.core.errors import CookbookError
from tasks.core.personalization.game_model import (
    Coordinate,
    DescentStep,
    FixedEffect,
    GameModel,
    GivenScores,
    RandomEffect,
)
from tasks.core.personalization.options import RandomEffectOptions
from tasks.core.personalization.random_effect_model import RandomEffectModel


def save_game(model: GameModel, folder: Path) -> None:
    """Write the model into `folder`; given scores are not kept. Equal models give equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, coordinate in enumerate(model.coordinates):
        if coordinate.name in model.models:
            model.models[coordinate.name].save(_file(folder, number))
    content = {
        "coordinates": [_described(coordinate) for coordinate in model.coordinates],
        "history": [asdict(step) for step in model.history],
        "best": asdict(model.best) if model.best else None,
    }
    text = json.dumps(content, indent=1, sort_keys=True)
    (folder / "game.json").write_text(text + "\n", encoding="utf-8")


def load_game(folder: Path) -> GameModel:
    """Open a saved model by memory map. Raises CookbookError if there is none in `folder`."""
    description = folder / "game.json"
    if not description.is_file():
        raise CookbookError(f"Expected a personalization model in {folder}, found no game.json.")
    content = json.loads(description.read_text(encoding="utf-8"))
    coordinates = tuple(_coordinate(entry) for entry in content["coordinates"])
    models = {
        coordinate.name: RandomEffectModel.load(_file(folder, number))
        for number, coordinate in enumerate(coordinates)
        if not isinstance(coordinate, GivenScores)
    }
    history = tuple(DescentStep(**step) for step in content["history"])
    best = DescentStep(**content["best"]) if content["best"] else None
    return GameModel(coordinates, models, history, best)


def _file(folder: Path, number: int) -> Path:
    return folder / f"coordinate_{number}.arrow"


def _described(coordinate: Coordinate) -> dict[str, Any]:
    if isinstance(coordinate, GivenScores):
        return {"kind": "given", "name": coordinate.name}
    kind = "random" if isinstance(coordinate, RandomEffect) else "fixed"
    return {"kind": kind, **asdict(coordinate)}


def _coordinate(entry: dict[str, Any]) -> Coordinate:
    rest = {name: value for name, value in entry.items() if name not in ("kind", "options")}
    if entry["kind"] == "given":
        return GivenScores(**rest)
    options = _options(entry["options"])
    if entry["kind"] == "fixed":
        return FixedEffect(**rest, options=options)
    return RandomEffect(**rest, options=options)


def _options(entry: dict[str, Any]) -> RandomEffectOptions:
    """Options from JSON, which knows lists only where the dataclass has tuples."""
    limits = entry["coefficient_limits"]
    features = tuple((str(name), low, high) for name, low, high in entry["feature_limits"])
    tuples = {
        "coefficient_limits": None if limits is None else tuple(limits),
        "feature_limits": features,
    }
    return RandomEffectOptions(**{**entry, **tuples})
