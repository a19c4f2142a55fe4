"""The model in service again, without the random effect of a member who is forgotten."""

import shutil
from pathlib import Path

from tasks.core.personalization.forgotten_effects import has_effect, without_members
from tasks.core.personalization.game_files import load_game, save_game
from tasks.core.store.registry import Registry
from tasks.core.store.versions import MANIFEST

EFFECTS = "effects"


def serve_without(registry: Registry, member_id: str, scratch: Path) -> str | None:
    """Promote a copy of the version in service that has no effect of the member.

    Scorer and everybody else's effects stay byte by byte what they were. Given again after a kill
    it ends what was begun. Returns the version that served before, or None where there was nothing
    to leave out.

    Args:
        scratch: a folder to build in, which is removed.

    Raises:
        CookbookError: the version in service is damaged.
    """
    # Held throughout: an approval in between would be undone.
    with registry.writing():
        served = registry.current()
        if served is None or not (served.file(EFFECTS) / "game.json").is_file():
            return None
        game = load_game(served.file(EFFECTS))
        if not has_effect(game, member_id):
            return None
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True, mode=0o700)
        effects = scratch / EFFECTS
        shutil.copytree(served.file(EFFECTS), effects)
        save_game(without_members(game, {member_id}), effects)
        card = {"scorer_of": served.version, **served.card, "made_from": served.version}
        files = {path.name: path for path in served.folder.iterdir() if path.name != MANIFEST}
        version = registry.register({**files, EFFECTS: effects}, card)
        reason = f"{served.version} without the own effect of a member who was forgotten"
        registry.promote(version, reason=reason, by="forget")
        shutil.rmtree(scratch)
        return served.version
