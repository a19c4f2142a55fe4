"""Step: pairs and a judge that passed in; judgments out. No label is paid for twice."""

from collections.abc import Iterable

from tasks.core.domain.catalog import Catalog
from tasks.core.labeling.carry_over import CarryOver, carry_over
from tasks.core.labeling.judge import Judge
from tasks.core.labeling.outcomes import Progress
from tasks.core.labeling.prompts import LabelRequest
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.exchange import PAIRS, Domain
from tasks.label_records import write_labels
from tasks.past_labels import note_labels
from tasks.run import current_run
from tasks.settings import BaseModelSettings, JudgeSettings, LabelSettings
from tasks.step import make, step
from tasks.to_label import PairRequests, last_edit, open_way


@step
def label(
    domain: Domain,
    pairs: Artifact,
    judge: Artifact,
    verdict: Artifact,
    encoder: BaseModelSettings,
    settings: JudgeSettings,
    labels: LabelSettings,
) -> Artifact:
    """Label the pairs; what the journal knows is not asked again.

    After an edit of the policy only labels that cite a changed clause are asked for anew, and a
    sample of the others, which tells how many changes that misses.
    """

    def build(bench: Workbench) -> Counts:
        requests = PairRequests(pairs.file(PAIRS), Catalog.load(domain.catalog.folder), settings)
        with open_way(domain, judge, encoder, settings, labels) as way:
            edits = _carry_over(way.judges, requests, labels.missed_change_sample)
            done = way.run(
                requests,
                max_quarantine_share=settings.max_quarantine_share,
                on_progress=lambda seen: _show(seen, pairs.counts["pairs"], way.judges[-1]),
            )
            return write_labels(bench.out, domain, requests, way, done, edits)

    artifact = make(
        "judgments",
        build,
        module=__name__,
        settings={
            "judge": settings.model_dump(mode="json"),
            # How the answers are fetched changes none of them.
            "labels": labels.model_dump(mode="json", exclude={"mode", "batch_poll_s"}),
        },
        upstream=[domain.policy, domain.catalog, pairs, judge, verdict],
    )
    note_labels(artifact)
    return artifact


def _carry_over(
    judges: Iterable[Judge], requests: Iterable[LabelRequest], sampled: int
) -> dict[str, CarryOver]:
    """Keep the labels of an earlier policy that its edit does not touch, by judge."""
    found = {}
    for judge in judges:
        edit = last_edit(judge, requests) if judge.endpoint.is_llm else None
        if edit is not None:
            found[judge.endpoint.model] = carry_over(edit, requests, sampled=sampled)
    return found


def _show(seen: Progress, pairs: int, judge: Judge) -> None:
    """The live count, and the money of a judge that costs some."""
    note = ""
    if judge.endpoint.is_llm:
        cap = "" if judge.budget_usd is None else f" of at most {judge.budget_usd:,.2f}"
        note = f"{seen.calls:,} calls, {seen.spent_usd:,.2f}{cap} USD"
    current_run().progress("judgments", seen.finished, pairs, note)
