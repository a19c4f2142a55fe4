"""`cookbook plan`, `explain`, `compare` and `forget`: about runs, without running one."""

import json
from pathlib import Path
from typing import Any

from flows.commands.options import DOMAIN, STORE, USUAL, Domain, RunOptions, Store


def plan(options: RunOptions = USUAL) -> None:
    """Show what a run would read, skip, make, need and cost; spends nothing."""
    from flows.needs import needed_bytes
    from flows.profiles import profile as find_profile
    from tasks.core.domain.paths import find_domain
    from tasks.core.store.room import check_room, free_bytes, in_words

    settings, paths = find_profile(options.profile), find_domain(options.domain, options.root)
    for name in ("policy", "golden", "documents", "queries", "members", "impressions"):
        found = getattr(paths, name)
        print(f"{name + ':':<13}{found or 'not there: what needs it is skipped'}")
    print(f"{'labels:':<13}at most {settings.synthesis.max_pairs:,} pairs")
    print(f"{'judge:':<13}{_judge_cost(settings, paths)}")
    for role in ("policy_teacher", "click_teacher"):
        print(f"{role + ':':<16}{getattr(settings, role).base.name}")
    for role in ("assistant", "student", "pruned_student"):
        shape = getattr(settings, role)
        print(f"{role + ':':<16}{shape.layers} layers, {shape.mlp_share:.0%} of each MLP")
    needed = needed_bytes(settings, paths)
    print(f"{'disk:':<13}at most {in_words(needed)}, {in_words(free_bytes(options.store))} free")
    check_room(options.store, needed)


def explain(
    pair_id: str, /, *, domain: Domain = DOMAIN, store: Store = STORE, run: Path | None = None
) -> None:
    """Show where a pair's score comes from: label, clauses, judge, teachers, code and data.

    Args:
        pair_id: first 16 hex digits of sha256 over query_id, member_id and doc_id, by newlines.
        run: a finished run's folder; by default the domain's latest.
    """
    from tasks.core.inspection import FinishedRun
    from tasks.core.inspection import explain as explain_pair

    found = explain_pair(FinishedRun.load(run or store / domain / "latest"), pair_id)
    print(json.dumps(found, indent=1, ensure_ascii=False))


def compare(first: Path, second: Path, /) -> None:
    """Show what differs between two finished runs, in settings and in results.

    Args:
        first: a run's folder, such as runs/job_search/latest or one below finished/.
        second: the other one.
    """
    from tasks.core.inspection import FinishedRun
    from tasks.core.inspection import compare as compare_runs

    lines = compare_runs(FinishedRun.load(first), FinishedRun.load(second))
    print("\n".join(lines) or "Nothing differs.")


def forget(member_id: str, /, *, domain: Domain = DOMAIN, store: Store = STORE) -> None:
    """Remove a member from labels, impressions and effects; says which models carry them still.

    Remove them from the domain's own files first: the next run reads those.
    """
    from tasks.core.domain.paths import valid_name
    from tasks.core.forgetting import forget_member
    from tasks.core.store.lock import run_lock

    valid_name(domain, "domain")
    with run_lock(store):
        found = forget_member(store, domain, member_id)
    print(f"Removed artifacts: {', '.join(found.artifacts) or 'none held the member'}.")
    print(f"Removed answers of the judge: {found.answers}.")
    print(f"Versions with an effect of the member's own: {', '.join(found.effects) or 'none'}.")
    print(f"Versions that may have learned from the member: {', '.join(found.trained) or 'none'}.")
    print("Run `cookbook run` for a model without the member, then delete those versions.")


def _judge_cost(settings: Any, paths: Any) -> str:
    judge = settings.judge
    if judge.kind == "embedded":
        return "embedded, no LLM: costs nothing, and cannot read the policy"
    from tasks.core.domain.corpus import read_documents
    from tasks.core.labeling.endpoint import Endpoint
    from tasks.core.labeling.plan import estimate
    from tasks.core.labeling.prompts import LabelRequest
    from tasks.core.policy import parse_policy

    documents = read_documents(paths.documents)[:200]
    requests = [
        LabelRequest(
            pair_id=str(number),
            query=row["title"],
            member_text="",
            document_text=f"{row['title']} | {row['text']}",
        )
        for number, row in enumerate(documents)
    ]
    endpoint = Endpoint(
        base_url=judge.base_url or "https://api.openai.com/v1",
        model=judge.model,
        api_key_env=judge.api_key_variable,
    )
    few = estimate(requests, parse_policy(paths.policy), endpoint)
    times = settings.synthesis.max_pairs / max(1, few.to_label)
    tokens = times * (few.input_tokens + few.output_tokens)
    money = "price unknown" if few.usd is None else f"about {times * few.usd:,.2f} USD"
    return (
        f"{judge.model}, {money} for {tokens / 1e6:,.1f} million tokens, judged by 200 documents; "
        f"never above {judge.budget_usd:,.2f} USD"
    )
