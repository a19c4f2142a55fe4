"""Flow: queries into classes; the same trainer as the ranker's, on data of its own."""

from pathlib import Path
from typing import Any

from prefect import flow

from flows.cookbook import PROJECT
from tasks.exchange import INTENTS, SCORER
from tasks.intent_settings import IntentSettings
from tasks.run import open_run
from tasks.train_intents import train_intents


@flow(name="intents", persist_result=False, validate_parameters=True)
def intents(
    settings: IntentSettings,
    domain: str = "job_search",
    root: Path = PROJECT,
    store: Path = Path("runs"),
) -> dict[str, Any]:
    """Labeled queries in; a classifier's folder and its figures out."""
    with open_run(store, domain):
        trained = train_intents(domain, root, settings)
        return {**trained.json(INTENTS), "folder": str(trained.file(SCORER))}
