"""Step: do groups of members or documents fare differently, before training and at each tier?

Groups stay on this machine: no prompt, label request, training feature or log holds them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.core.domain.catalog import Catalog
from tasks.core.fairness.attributes import small_groups
from tasks.core.fairness.dataset import dataset_fairness
from tasks.core.fairness.gaps import GroupMetric, correct_p_values
from tasks.core.fairness.groups import group_metrics
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.store.files import write_json
from tasks.core.tables import Row, read_table
from tasks.core.training.scorer import grade_probabilities, relevance
from tasks.exchange import FAIRNESS, LOGITS, Domain, golden_rows, shown_rows
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

    def build(bench: Workbench) -> Counts:
        groups = _groups(catalog, rows)
        grades = np.array([row["grade"] for row in rows], dtype=np.float64)
        middle = float(int(grades.max()) // 2 + 1)
        found: list[GroupMetric] = []
        for role, evaluated in present.items():
            found += group_metrics(
                role,
                _relevance(evaluated, len(rows), int(grades.max()) + 1),
                grades,
                groups,
                np.array([row["query_id"] for row in rows]),
                correction="none",
                positive_from=middle,
                n_resamples=settings.n_resamples,
                seed=settings.seed,
                minimum_clusters=settings.minimum_group_clusters,
            )
        corrected = correct_p_values(found)
        write_json(
            bench.out / FAIRNESS,
            {
                "groups": _sizes(groups),
                "small_groups": small_groups(
                    groups,
                    np.array([row["query_id"] for row in rows]),
                    minimum_clusters=settings.minimum_group_clusters,
                ),
                "metrics": [asdict(metric) for metric in corrected],
                "mitigation": None,
                "dataset": _dataset(catalog, rows, shown_rows(impressions, "train"), middle),
            },
        )
        return {"comparisons": len(found)}

    return make(
        "fairness",
        build,
        module=__name__,
        settings={**settings.model_dump(mode="json"), "roles": list(present)},
        upstream=[domain.golden, domain.catalog, impressions, *present.values()],
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


def _sizes(groups: Groups) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for row in groups:
        for name, value in row.items():
            sizes[f"{name}: {value}"] = sizes.get(f"{name}: {value}", 0) + 1
    return dict(sorted(sizes.items()))


def _relevance(evaluated: Artifact, n_rows: int, grade_count: int) -> npt.NDArray[np.float64]:
    logits = np.array(read_table(evaluated.file(LOGITS))["logits"].to_pylist(), dtype=np.float32)
    return relevance(grade_probabilities(logits[:n_rows], grade_count))


def _dataset(
    catalog: Catalog, rows: Sequence[Row], shown: Sequence[Row], middle: float
) -> list[dict[str, Any]]:
    """Measures on golden grades and clicks, before anything trains on them."""
    grades = np.array([row["grade"] for row in rows], dtype=np.float64)
    found = dataset_fairness(
        grades, _groups(catalog, rows), target="golden grade", positive_from=middle
    )
    if shown:
        clicks = np.array([row["clicked"] for row in shown], dtype=np.float64)
        found += dataset_fairness(clicks, _groups(catalog, shown), target="click")
    return [asdict(metric) for metric in found]
