"""What labeling a pair can end in, and the counts of a run."""

from collections import Counter
from dataclasses import dataclass, field

from tasks.core.labeling.replies import Judgment, Status


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A pair that got no label, why, and the judge's raw text (empty if none came)."""

    pair_id: str
    status: Status
    problem: str
    raw_text: str


Outcome = Judgment | Quarantined


@dataclass
class Progress:
    """Counts of a labeling run so far; ``spent_usd`` includes what was perhaps billed."""

    finished: int = 0
    labeled: int = 0
    reused: int = 0
    quarantined: int = 0
    disagreeing: int = 0  # the judge's own grade was not what the policy's aggregation gives
    calls: int = 0
    billed_calls: int = 0
    possibly_billed: int = 0
    spent_usd: float = 0.0
    by_status: Counter[Status] = field(default_factory=Counter)
