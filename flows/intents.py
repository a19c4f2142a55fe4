"""Flow: queries into classes; the same trainer as the ranker's, on data of its own."""

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.alarms import told
from flows.cookbook import PROJECT
from flows.places import DomainName, ends_with_parent, served_root, served_store
from flows.ui_artifacts import UiProgress, if_the_server_answers
from tasks.core.report.markdown import escape
from tasks.exchange import INTENTS, SCORER
from tasks.intent_settings import IntentSettings
from tasks.run import listening, open_run
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


@flow(name="intents", persist_result=False)
def intents_in_ui(domain: DomainName = "job_search") -> State[None]:
    """Learn which intent a query has from golden_data/DOMAIN/intents.csv, and measure it.

    The classifier starts from the embedded model and is measured on queries that taught nothing.
    Its folder, which the verdict names, is plain transformers.
    """
    with told(domain):
        with ends_with_parent(), listening(UiProgress()):
            found = intents.fn(IntentSettings(), domain, served_root(), served_store())
        line = intents_line(found)
        with if_the_server_answers():  # the classifier is in the store, shown or not
            create_markdown_artifact(f"{line} {escape(found['folder'])}", key="verdict")
            create_table_artifact(_confusion(found), key="confusion", description=CONFUSION)
        return Completed(message=line)


CONFUSION = "A row for each actual intent, a column for each that was predicted"


def intents_line(found: dict[str, Any]) -> str:
    """The accuracy with its interval, and beside it what guessing would reach."""
    one = found["accuracy"]
    return (
        f"Accuracy {one['value']:.3f} ({one['low']:.3f} to {one['high']:.3f}) on {one['n']} "
        f"queries; always the commonest intent: {found['most_common']:.3f}."
    )


def _confusion(found: dict[str, Any]) -> list[dict[str, str]]:
    names = [escape(name) for name in found["intents"]]
    return [
        {"actual": name, **dict(zip(names, map(str, row), strict=True))}
        for name, row in zip(names, found["confusion"], strict=True)
    ]
