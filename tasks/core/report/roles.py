"""Names of models, baselines and the model that would be served, as the page says them."""

from collections.abc import Mapping
from typing import Any

from tasks.core.report.quantities import words
from tasks.core.report.schema import Report

BASELINES = {
    "bm25": "BM25 keyword match",
    "embedding": "Embedding similarity, untrained",
    "policy_only": "Student of the policy teacher only",
    "click_only": "Student of clicks only",
    "click_other_start": "Click teacher begun otherwise",
    "random": "Random order",
}


def tier_of(report: Report, role: str) -> Mapping[str, Any] | None:
    """The tier with this role, or None where the run did not train it."""
    return next((tier for tier in report["tiers"] if tier["role"] == role), None)


def served_tier(report: Report) -> Mapping[str, Any] | None:
    """The tier up for promotion; a report of a version that did not name it has it last."""
    role = report.get("served_role")
    if role is not None:
        return tier_of(report, role)
    return report["tiers"][-1] if report["tiers"] else None


def baseline_name(name: str) -> str:
    """A baseline in words; one that the page does not know keeps its own name."""
    return BASELINES.get(name, words(name))
