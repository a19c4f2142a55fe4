"""What groups are compared on: rows with their groups, and each tier's outputs on them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from tasks.core.calibration import ActionCalibration
from tasks.core.domain.catalog import Catalog
from tasks.core.fairness.attributes import Groups
from tasks.core.serving import Mix
from tasks.core.tables import Row
from tasks.core.training.scorer import grade_probabilities, relevance

Floats = npt.NDArray[np.float64]
Logits = npt.NDArray[np.float32]
# Begins the names of members' groups, so that they stay apart from documents'.
MEMBER = "member "


def row_groups(catalog: Catalog, rows: Sequence[Row]) -> Groups:
    """Groups of each row: its document's, and its member's under names that say so."""
    documents = {
        doc_id: json.loads(catalog.documents[doc_id]["groups"])
        for doc_id in {row["doc_id"] for row in rows}
    }
    members = {
        member: json.loads(catalog.members[member]["groups"])
        for member in {row["member_id"] for row in rows} & catalog.members.keys()
    }
    return [
        documents[row["doc_id"]]
        | {f"{MEMBER}{name}": value for name, value in members.get(row["member_id"], {}).items()}
        for row in rows
    ]


@dataclass(frozen=True)
class TierOutputs:
    """A tier's raw logits (n, grades + actions) on sealed pairs and on held-out impressions."""

    sealed: Logits
    shown: Logits
    grade_count: int
    calibration: Mapping[str, Any]

    def relevance(self, logits: Logits) -> Floats:
        """Expected grade (n,), 0 to 1."""
        return relevance(grade_probabilities(logits, self.grade_count))

    def clicked(self, logits: Logits) -> Floats:
        """P(click) (n,) as it is served."""
        return self.probability(logits[:, self.grade_count].astype(np.float64))

    def probability(self, click_logits: Floats) -> Floats:
        """P(click) (n,) of click logits: by the tier's calibration, else as the logit says."""
        knots = self.calibration.get("actions", {}).get("clicked")
        if knots is not None:
            return ActionCalibration.from_json(knots)(click_logits)
        found: Floats = expit(click_logits)
        return found

    def value(self, logits: Logits) -> Floats:
        """What candidates are ranked by (n,), at the usual mixture; nobody's effects are in it."""
        temperature = self.calibration.get("temperature", 1.0)
        by_grade = grade_probabilities(logits, self.grade_count, temperature=temperature)
        return Mix()(relevance(by_grade), self.clicked(logits))


@dataclass(frozen=True)
class PersonalOutputs:
    """The served tier's logits on impressions that fitted effects and on later ones.

    `personal` are the later rows' click logits with the effects added in.
    """

    fitting: list[Row]
    later: list[Row]
    logits: Logits
    personal: Floats


@dataclass(frozen=True)
class Evidence:
    """Everything that fairness is measured on, read from the run's artifacts.

    `gate_scores` are relevances (n,) on the `gate` pairs by tier: the judge's, the policy
    teacher's, the served tier's; NaN where a tier has none.
    """

    catalog: Catalog
    middle_grade: int
    top_grade: int
    served: str
    sealed: list[Row]
    gate: list[Row]
    gate_scores: Mapping[str, Floats]
    shown: list[Row] = field(default_factory=list)
    trained: list[Row] = field(default_factory=list)
    tiers: Mapping[str, TierOutputs] = field(default_factory=dict)
    personal: PersonalOutputs | None = None

    @cached_property
    def sealed_groups(self) -> Groups:
        return row_groups(self.catalog, self.sealed)
