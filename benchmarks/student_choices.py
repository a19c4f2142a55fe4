"""Students made otherwise, from a finished run's artifacts: what each choice keeps or loses.

    python -m benchmarks.student_choices --store FOLDER [--only mixes layers cuts start]

mixes: the student with other shares of the relevance goal, all without a rule for conflicts, and
with either rule, beside the run's own and the students of one goal. layers: assistant, student and
pruned student that keep the layers whose absence would change most, beside those evenly spread.
cuts: the pruned student taught between its two cuts, half of its passes each time. start: the click
teacher from the base model, beside the one grown from the policy teacher.

Measured on gate queries and on the members that calibrate, who taught nobody: sealed queries and
held-out members stay unread. Differences are paired, by query and by member. What is taught lies in
the store afterwards, so that a broken-off benchmark goes on.
"""

import argparse
import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.profiles import laptop
from flows.students import of_layers_alone
from tasks.branch import changed
from tasks.core.click_splits import asker_of
from tasks.core.domain.catalog import Catalog
from tasks.core.evaluation import TierLogits
from tasks.core.intervals import Interval, bootstrap_mean, bootstrap_statistic, number_clusters
from tasks.core.ranking import ndcg_at_10, weighted_auc
from tasks.core.store.artifacts import Artifact, find
from tasks.core.training.scorer import PairScorer
from tasks.distill import distill
from tasks.exchange import SCORER, Domain, golden_rows, shown_rows
from tasks.run import open_run
from tasks.settings import DistillationSettings, Settings
from tasks.train_teachers import train_click_teacher

DOMAIN = "job_search"
GROUPS = ("mixes", "layers", "cuts", "start")
Floats = npt.NDArray[np.float64]


class Finished:
    """The artifacts of a store's latest finished run, by its report's lineage."""

    def __init__(self, store: Path) -> None:
        report = json.loads((store / DOMAIN / "latest" / "report.json").read_text("utf-8"))
        self.made = [
            artifact
            for one in report["lineage"]
            if (artifact := find(store / "artifacts" / one["step"] / one["digest"][:16]))
        ]
        self.transfer, self.impressions = self.one("transfer_set"), self.one("impressions")
        self.labels = {
            name: self.one("soft_labels", of=self.one(f"{name}_teacher"))
            for name in ("policy", "click")
        } | {"words": self.one("click_words")}
        self.domain = Domain(
            self.one("policy"),
            self.one("golden"),
            self.one("catalog"),
            None,
            self.one("impression_log"),
            None,
        )

    def one(self, kind: str, *, of: Artifact | None = None) -> Artifact:
        """The run's artifact of a kind, made from another one if that is named."""
        (found,) = (
            one for one in self.made if one.kind == kind and (of is None or of.digest in one.inputs)
        )
        return found


@dataclass(frozen=True)
class Choice:
    """A scorer, by the name that the table shows, and the one of its group that it is held to."""

    group: str
    name: str
    made: Artifact


def taught(run: Finished, role: str, settings: DistillationSettings, start: Artifact) -> Artifact:
    """The role's scorer by the pipeline's own step, without Prefect around it."""
    step: Any = distill
    made: Artifact = step.fn(role, run.domain, run.transfer, run.labels, start, settings, {})
    return made


def choices(run: Finished, s: Settings, groups: Sequence[str]) -> Iterator[Choice]:
    """Each group's reference first; taught when asked for."""
    makers = {"mixes": mixes, "layers": layers, "cuts": cuts, "start": starts}
    for group in groups:
        for name, made in makers[group](run, s):
            yield Choice(group, name, made)


def mixes(run: Finished, s: Settings) -> Iterator[tuple[str, Artifact]]:
    """The run's own student, those of one goal, shares without a rule, and the other rules."""
    start = run.one("assistant")
    yield "the run's student", run.one("student", of=start)
    for name in ("policy_only", "click_only"):
        yield name.replace("_", " "), run.one(name)
    for alpha in (0.1, 0.3, s.student.alpha, 0.7):
        settings = changed(s.student, alpha=alpha, conflicts="none")
        yield f"alpha {alpha}, no rule", taught(run, f"alpha_{alpha:g}", settings, start)
    for rule in sorted({"agreement", "vote"} - {s.student.conflicts}):
        settings = changed(s.student, conflicts=rule)
        yield rule, taught(run, f"by_{rule}", settings, start)


def layers(run: Finished, s: Settings) -> Iterator[tuple[str, Artifact]]:
    """The run's pruned student, and one whose every tier kept its important layers."""
    yield "spread", run.one("pruned_student")
    start = run.one("policy_teacher")
    for role in ("assistant", "student", "pruned_student"):
        settings = changed(getattr(s, role), kept_layers="important")
        start = taught(run, f"important_{role}", settings, start)
    yield "important", start


def cuts(run: Finished, s: Settings) -> Iterator[tuple[str, Artifact]]:
    """The pruned student, and one with half of the passes after each of its two cuts."""
    yield "cut together", run.one("pruned_student")
    training = s.pruned_student.training
    half = changed(s.pruned_student, training=changed(training, epochs=training.epochs / 2))
    cut = taught(run, "cut_layers", of_layers_alone(half), run.one("student"))
    yield "cut one by one", taught(run, "cut_mlps", half, cut)


def starts(run: Finished, s: Settings) -> Iterator[tuple[str, Artifact]]:
    """The click teacher from the policy teacher, and from the base model."""
    step: Any = train_click_teacher
    policy_teacher = run.one("policy_teacher")
    yield "from the policy teacher", run.one("click_teacher")
    settings = changed(s.click_teacher, start="base")
    made: Artifact = step.fn(run.domain, run.impressions, policy_teacher, settings)
    yield "from the base model", made


@dataclass(frozen=True)
class Measured:
    """What a scorer says of the gate's queries and of the calibrating members' impressions."""

    ndcg: Floats
    clicked: Floats


class Yard:
    """The rows on which choices are compared, and what people graded and members did there."""

    def __init__(self, run: Finished) -> None:
        self.catalog = Catalog.load(run.domain.catalog.folder)
        self.gate = golden_rows(run.domain, "gate")
        self.shown = shown_rows(run.impressions, "calibrate")
        self.members = number_clusters([asker_of(row) for row in self.shown])
        self.clicks = np.array([row["clicked"] for row in self.shown], dtype=np.float64)

    def measure(self, made: Artifact) -> Measured:
        """NDCG@10 of each query (queries,), and each impression's score for clicks (rows,).

        A scorer that was taught one goal ranks for the other by what it was taught.
        """
        scorer = PairScorer.load(made.file(SCORER), for_scoring=True)
        logits = scorer.logits(self.catalog.pairs(scorer.template, [*self.gate, *self.shown]))
        scored = TierLogits(
            logits[: len(self.gate)],
            logits[len(self.gate) :],
            scorer.outputs,
            knows_grades="grades" in scorer.taught,
            knows_actions="actions" in scorer.taught,
            calibration={},
        ).scored()
        by_query = ndcg_at_10(
            [row["query_id"] for row in self.gate],
            [row["doc_id"] for row in self.gate],
            [row["grade"] for row in self.gate],
            scored.on_golden,
            [row["member_id"] or "" for row in self.gate],
        )
        return Measured(by_query.values, scored.on_clicks["clicked"])

    def auc(self, scores: Floats) -> float:
        return weighted_auc(self.clicks, scores, np.ones(len(scores)))

    def gain(self, one: Measured, other: Measured) -> dict[str, Interval]:
        """Paired differences, by query and by member."""
        return {
            "ndcg_at_10": bootstrap_mean(one.ndcg - other.ndcg),
            "click_auc": bootstrap_statistic(
                lambda weights: (
                    weighted_auc(self.clicks, one.clicked, weights)
                    - weighted_auc(self.clicks, other.clicked, weights)
                ),
                self.members,
            ),
        }


def show(choice: Choice, figures: dict[str, Any]) -> None:
    """A line a choice: its figures, and the differences to its group's reference."""
    gains = (
        f"{gain['value']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}]"
        for gain in figures["gains"].values()
    )
    print(
        f"{choice.group:<7}{choice.name:<26}{figures['ndcg_at_10']:>7.3f}"
        f"{figures['click_auc']:>7.3f}   {'   '.join(gains)}",
        flush=True,
    )


def main() -> None:
    """Print a line a choice, then one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--store", type=Path, required=True, help="store of a finished run")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS, help="these groups")
    chosen = parser.parse_args()
    found: list[dict[str, Any]] = []
    with open_run(chosen.store, DOMAIN):
        run = Finished(chosen.store)
        yard, first = Yard(run), {}
        for choice in choices(run, laptop(), chosen.only):
            measured = yard.measure(choice.made)
            gains = yard.gain(measured, first.setdefault(choice.group, measured))
            figures = {
                "ndcg_at_10": float(measured.ndcg.mean()),
                "click_auc": yard.auc(measured.clicked),
                "gains": {name: gain.to_json() for name, gain in gains.items()},
            }
            show(choice, figures)
            found.append({"group": choice.group, "name": choice.name, **figures})
    print(json.dumps({"machine": platform.machine(), "choices": found}))


if __name__ == "__main__":
    main()
