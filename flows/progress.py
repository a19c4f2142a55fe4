"""Live progress of a run on the terminal: a bar per stage at work, a line per stage done."""

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from tasks.core.text import sanitize


class RunProgress:
    """Listens to a run (tasks.run.listening) and shows it; use as a context manager.

    Where output is no terminal, the lines of finished stages are all there is.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: dict[str, TaskID] = {}
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(show_speed=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> "RunProgress":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, event: str, what: str, amount: float) -> None:
        """Hear (event, stage, seconds or share); see tasks/run.py for the events."""
        if event == "starts":
            self._bar(what)
        elif event == "progress":
            self._progress.update(self._bar(what), total=1.0, completed=amount)
        elif event == "note":
            stage, _, note = what.partition(": ")
            self._progress.update(
                self._bar(stage), description=f"{stage.replace('_', ' ')}, {sanitize(note)}"
            )
        elif event == "notice":
            self._say("!", "please note", what)
        elif event == "skipped":
            self._say("-", "skipped", what)
        else:
            self._end(what)
            spent = "found from an earlier run" if event == "reused" else f"{amount:.1f} s"
            self._say("=" if event == "reused" else "+", what.replace("_", " "), spent)

    def _bar(self, stage: str) -> TaskID:
        if stage not in self._bars:
            label = stage.replace("_", " ")
            self._bars[stage] = self._progress.add_task(label, total=None)
        return self._bars[stage]

    def _end(self, stage: str) -> None:
        if stage in self._bars:
            self._progress.remove_task(self._bars.pop(stage))

    def _say(self, mark: str, stage: str, rest: str) -> None:
        self._console.print(Text(f"{mark} {sanitize(stage):<28} {sanitize(rest)}"), soft_wrap=True)
