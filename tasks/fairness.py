"""Step: do groups of members or documents fare differently, before training and at each tier?

Groups stay on this machine: no prompt, label request, training feature or log holds them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.core.domain.catalog import Catalog
from tasks.core.fairness.attributes import group_sizes, small_groups
from tasks.core.fairness.dataset import dataset_fairness
from tasks.core.fairness.gaps import GroupMetric, correct_p_values
from tasks.core.fairness.groups import group_metrics
from tasks.core.policies.parse import parse_policy
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.store.files import write_json
from tasks.core.tables import Row, read_table
from tasks.core.training.scorer import grade_probabilities, relevance
from tasks.exchange import FAIRNESS, LOGITS, POLICY, Domain, golden_rows, shown_rows
from tasks.run import current_run
from tasks.settings import FairnessSettings
from tasks.step import make, step

# Tiers whose relevance output was taught.
ROLES = ("policy_teacher", "assistant", "student", "pruned_student")
Groups = list[Mapping[str, str]]


@step
def measure_fairness(
    domain: Domain,
    tiers: Mapping[str, tuple[Artifact | None, Artifact | None]],
    impressions: Artifact | None,
    settings: FairnessSettings,
) -> Artifact | None:
    """Gaps between groups in golden grades, clicks and every tier's relevance."""
    rows = golden_rows(domain, "sealed")
    catalog = Catalog.load(domain.catalog.folder)
    if not any(_groups(catalog, rows)):
        current_run().skip("fairness", "neither members nor documents state groups")
        return None
    present = {role: one for role, (_, one) in tiers.items() if one is not None and role in ROLES}
    policy = parse_policy(domain.policy.file(POLICY))

    def build(bench: Workbench) -> Counts:
        measured = _Measured(catalog, rows, policy.grade_count, policy.middle_grade, settings)
        found = correct_p_values(
            [metric for role, one in present.items() for metric in measured.gaps(role, one)]
        )
        content = {
            "groups": group_sizes(measured.groups),
            "small_groups": measured.small_groups(),
            "metrics": [asdict(metric) for metric in found],
            "mitigation": None,
            "dataset": measured.before_training(shown_rows(impressions, "train")),
        }
        write_json(bench.out / FAIRNESS, content)
        return {"comparisons": len(found)}

    return make(
        "fairness",
        build,
        module=__name__,
        settings={**settings.model_dump(mode="json"), "roles": list(present)},
        upstream=[domain.policy, domain.golden, domain.catalog, impressions, *present.values()],
    )


def _groups(catalog: Catalog, rows: Sequence[Row]) -> Groups:
    """Groups of each row: its document's and its member's, the latter named as members'."""
    found: Groups = []
    for row in rows:
        groups = dict(json.loads(catalog.documents[row["doc_id"]]["groups"]))
        member = catalog.members.get(row["member_id"])
        own = json.loads(member["groups"]) if member else {}
        found.append(groups | {f"member {name}": value for name, value in own.items()})
    return found


@dataclass(frozen=True)
class _Measured:
    """The rows that groups are compared on; a grade from ``middle`` on counts as positive."""

    catalog: Catalog
    rows: Sequence[Row]
    grade_count: int
    middle: int
    settings: FairnessSettings

    @cached_property
    def groups(self) -> Groups:
        return _groups(self.catalog, self.rows)

    @cached_property
    def queries(self) -> npt.NDArray[np.str_]:
        return np.array([row["query_id"] for row in self.rows])

    @cached_property
    def grades(self) -> npt.NDArray[np.float64]:
        return np.array([row["grade"] for row in self.rows], dtype=np.float64)

    def gaps(self, role: str, evaluated: Artifact) -> list[GroupMetric]:
        """Gaps of one tier's relevance, their p-values not yet corrected."""
        table = read_table(evaluated.file(LOGITS))
        logits = np.array(table["logits"].to_pylist(), dtype=np.float32)[: len(self.rows)]
        return group_metrics(
            role,
            relevance(grade_probabilities(logits, self.grade_count)),
            self.grades,
            self.groups,
            self.queries,
            correction="none",
            positive_from=float(self.middle),
            n_resamples=self.settings.n_resamples,
            seed=self.settings.seed,
            minimum_clusters=self.settings.minimum_group_clusters,
        )

    def small_groups(self) -> dict[str, int]:
        least = self.settings.minimum_group_clusters
        return small_groups(self.groups, self.queries, minimum_clusters=least)

    def before_training(self, shown: Sequence[Row]) -> list[dict[str, Any]]:
        """Measures on golden grades and clicks, before anything trains on them."""
        found = dataset_fairness(
            self.grades, self.groups, target="golden grade", positive_from=float(self.middle)
        )
        if shown:
            clicks = np.array([row["clicked"] for row in shown], dtype=np.float64)
            found += dataset_fairness(clicks, _groups(self.catalog, shown), target="click")
        return [asdict(metric) for metric in found]
