"""Surface forms of job texts, read once from taxonomy/job_phrases.yaml."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml


@lru_cache(maxsize=1)
def load_phrases() -> dict[str, list[str]]:
    """Phrases by the slot of a job text they fill; about 150 in all."""
    path = Path(__file__).parent / "taxonomy" / "job_phrases.yaml"
    phrases: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {str(slot): [str(line) for line in lines] for slot, lines in phrases.items()}


def article(noun: str) -> str:
    """The noun with "a" or "an" before it: article("electrician") == "an electrician"."""
    return ("an " if noun[:1].lower() in "aeiou" else "a ") + noun
