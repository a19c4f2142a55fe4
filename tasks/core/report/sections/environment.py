"""What the run ran on."""

from tasks.core.report.blocks import facts, section
from tasks.core.report.markup import Child, Html
from tasks.core.report.quantities import words
from tasks.core.report.schema import Report

_NAMES = {"cpu": "CPU", "gpu": "GPU", "dtype": "Number type"}


def environment(report: Report) -> Html:
    """Versions and hardware, and the names under which the run can be found again."""
    entries: list[tuple[str, Child]] = [
        ("Run", report["run_key"]),
        ("Profile", report["profile"]),
        *(
            (_NAMES.get(key, words(key)), "none" if value is None else str(value))
            for key, value in report["environment"].items()
        ),
    ]
    return section("environment", "Environment", "What this run ran on.", facts(entries))
