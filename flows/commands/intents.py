"""`cookbook intents`: which of several intents a query has, learned from labeled queries."""

from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows.commands.options import DOMAIN, PROJECT, STORE, Domain, Root, Store

Base = Annotated[
    str, Parameter(help="Hub name or folder of the model to start from; the embedded one if none.")
]


def intents(
    *, base: Base = "", domain: Domain = DOMAIN, root: Root = PROJECT, store: Store = STORE
) -> None:
    """Learn to tell the intents of queries from golden_data/DOMAIN/intents.csv, and measure it.

    The file has the columns query and intent, and may have split. The classifier is a plain
    folder of transformers, as a ranker is.
    """
    from tasks.intent_settings import IntentSettings
    from tasks.settings import BaseModelSettings

    settings = IntentSettings()
    if base:
        hub = BaseModelSettings(source="hub", name=base)
        settings = settings.model_copy(update={"base": hub})

    from flows.local_server import check_server, hide_run_logs, prefect_server
    from flows.progress import RunProgress

    console = Console()
    with prefect_server() as address:
        from flows.intents import intents as intents_flow
        from tasks.run import listening

        check_server(address)
        hide_run_logs()
        with RunProgress(console) as progress, listening(progress):
            found = intents_flow(settings, domain=domain, root=root, store=store)
    _show(found, console)


def _show(found: dict[str, Any], console: Console) -> None:
    from flows.intents import intents_line

    table = Table("actual", *(escape(name) for name in found["intents"]), title="predicted")
    for name, row in zip(found["intents"], found["confusion"], strict=True):
        table.add_row(escape(name), *map(str, row))
    console.print(table)
    console.print(intents_line(found), highlight=False, soft_wrap=True)
    console.print(f"Model: {found['folder']}", markup=False, highlight=False, soft_wrap=True)
