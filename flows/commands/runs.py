"""`cookbook plan`, `explain`, `compare` and `forget`: about runs, without running one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.commands.options import (
    DOMAIN,
    PROJECT,
    STORE,
    USUAL,
    Domain,
    Root,
    RunOptions,
    Store,
    existing_file,
    existing_store,
    registry_folder,
)
from tasks.core.errors import CookbookError

if TYPE_CHECKING:
    from tasks.core.forgetting import Forgotten


def plan(options: RunOptions = USUAL, *, show_prompt: bool = False) -> None:
    """Show what a run would read, skip, make, need and cost; spends nothing.

    Args:
        show_prompt: print the first prompt that an LLM would be sent, in full.
    """
    from flows.needs import check_packages, needed_bytes
    from tasks.core.domain.paths import find_domain
    from tasks.core.labeling.journal import answered_keys
    from tasks.core.store.room import check_room, free_bytes, in_words

    settings, paths = options.settings(), find_domain(options.domain, options.root)
    for name in ("policy", "golden", "documents", "queries", "members", "impressions"):
        found = getattr(paths, name)
        print(f"{name + ':':<13}{found or 'not there: what needs it is skipped'}")
    most = settings.synthesis.most_labels(has_log=paths.impressions is not None)
    answered = len(answered_keys(options.store / options.domain / "labels" / "journal.jsonl"))
    print(
        f"{'labels:':<13}at most {most:,} pairs; {answered:,} answers of "
        "judges are paid for already"
    )
    for line in _judge_lines(settings, paths, show_prompt):
        print(f"{'judge:':<13}{line}")
    for role in ("policy_teacher", "click_teacher"):
        print(f"{role + ':':<16}{getattr(settings, role).base.name}")
    for role in ("assistant", "student", "pruned_student"):
        shape = getattr(settings, role)
        print(f"{role + ':':<16}{shape.layers} layers, {shape.mlp_share:.0%} of each MLP")
    needed = needed_bytes(settings, paths)
    print(f"{'disk:':<13}at most {in_words(needed)}, {in_words(free_bytes(options.store))} free")
    check_packages(settings, paths)
    check_room(options.store, needed)


def explain(
    pair_id: str,
    /,
    *,
    scores: Path | None = None,
    model: str | None = None,
    domain: Domain = DOMAIN,
    root: Root = PROJECT,
    store: Store = STORE,
    run: Path | None = None,
) -> None:
    """Show where a pair's score comes from: effects, label, clauses, judge, teachers, data, code.

    Args:
        pair_id: as in a file of scores: the first 16 hex digits of sha256 over query_id, member_id
            and doc_id, by newlines.
        scores: a file that `cookbook score` wrote and that has the pair; by default
            DOMAIN/scoring/scores.jsonl of the store.
        model: a version; by default the one that wrote the scores, or is in service.
        run: explain what this finished run's folder recorded, and no version's score.
    """
    from tasks.core.domain.paths import find_domain
    from tasks.core.explanation import explain as explain_pair
    from tasks.core.explanation import scored_line
    from tasks.core.inspection import FinishedRun, run_behind
    from tasks.core.serving import domain_catalog, find_model
    from tasks.core.store.registry import Registry

    registry = Registry(registry_folder(store, domain))
    existing_file(scores, "scores")
    scored = scored_line(scores or store / domain / "scoring" / "scores.jsonl", pair_id)
    if run is not None:
        found = explain_pair(FinishedRun.load(run), pair_id, scored=scored)
    else:
        registered = find_model(registry, model or (scored or {}).get("model_version"))
        found = explain_pair(
            run_behind(store, domain, registered),
            pair_id,
            model=registered,
            catalog=domain_catalog(find_domain(domain, root)),
            scored=scored if model is None else None,
        )
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


def forget(
    member_id: str, /, *, domain: Domain = DOMAIN, root: Root = PROJECT, store: Store = STORE
) -> None:
    """Remove a member of one domain from all that its runs made; says what carries them still.

    That is labels, impressions, effects and scores. Remove them from the domain's own files first:
    the next run reads those. The command names the files that hold them, and changes none. Killed
    on the way, it goes on when it is given again.
    """
    from tasks.core.domain.member_files import possible_pairs
    from tasks.core.domain.paths import valid_name
    from tasks.core.forgetting import forget_member
    from tasks.core.labeling.forgetting import count_unmarked
    from tasks.core.store.lock import run_lock

    existing_store(store, valid_name(domain, "domain"))
    golden = root / "golden_data" / domain
    for line in _own_files(golden, member_id):
        print(line, flush=True)
    with run_lock(store):
        # All pairs of the member's queries and any document, for answers that name nobody.
        journal = store / domain / "labels" / "journal.jsonl"
        unnamed = journal.exists() and count_unmarked(journal)
        pair_ids = possible_pairs(golden, member_id, print) if unnamed else ()
        found = forget_member(store, domain, member_id, pair_ids=pair_ids)
    for line in _told(found, domain, registry_folder(store, domain) / "versions"):
        print(line)


def _told(found: "Forgotten", domain: str, versions: Path) -> Iterator[str]:
    """What was removed, what carries the member still, and what ends that."""
    yield f"Removed artifacts: {', '.join(found.artifacts) or 'none held the member'}."
    yield f"Removed answers of the judge: {found.answers}."
    if found.unmarked:
        yield (
            f"{found.unmarked} answers of an earlier version stay, which do not say whom they are "
            "about; those whose pairs neither the store nor the domain's files hold may be the "
            f"member's. `cookbook clean --days DAYS --journal-days DAYS` drops answers by age."
        )
    yield f"Removed lines of files in {domain}/scoring: {found.scores}."
    yield (
        "Files elsewhere are not known: scores that `cookbook score --output` wrote, exported "
        "models, raters' worksheets and backups. Look through those yourself."
    )
    if found.instead_of:
        yield (
            f"{found.served} is in service: {found.instead_of} without an effect of the member's "
            "own. Candidates that wait were compared with the other one; a run compares them anew."
        )
    yield f"Versions with an effect of the member's own: {', '.join(found.effects) or 'none'}."
    if found.refused:
        yield f"Refused, since they waited to serve with it: {', '.join(found.refused)}."
    if found.served in found.effects:
        yield (
            f"{found.served} is in service with it, until a refresh or a run brings another "
            "version, or you do: `cookbook models list`, then `cookbook models promote`."
        )
    yield f"Versions that may have learned from the member: {', '.join(found.trained) or 'none'}."
    if found.trained:
        yield "Run `cookbook run` for a model without the member."
    if others := [version for version in found.trained if version != found.served]:
        yield (
            f"Then remove the folders below {versions} of those that are not in service; now that "
            f"is {', '.join(others)}. `cookbook models rollback` would bring one of them back."
        )
    if found.served:
        yield (
            f"{found.served} is in service: leave its folder where it is until another one serves."
        )


def _own_files(golden: Path, member_id: str) -> Iterator[str]:
    """What the domain's own files say of the member."""
    from tasks.core.domain.member_files import files_holding

    if not golden.is_dir():
        yield f"The domain's own files were not looked at: there is no {golden}; --root names it."
        return
    unreadable: list[str] = []
    files = files_holding(golden, member_id, unreadable.append)
    if files:
        yield f"Still in the domain's own files: {', '.join(map(str, files))}."
        yield "Remove those rows: the next run reads the member from them again."
    elif unreadable:
        yield f"The domain's own files that can be read do not hold the member: {golden}."
    else:
        yield f"The domain's own files do not hold the member: none in {golden} does."
    yield from unreadable


def _judge_lines(settings: Any, paths: Any, show_prompt: bool) -> Iterator[str]:
    """Who would grade, how often, for how much money and time, and the first prompt."""
    from tasks.core.labeling.address import OPENAI
    from tasks.llm_judge import beyond_budget, judge_cost, settle_judge

    settled, choice = settle_judge(settings, paths)
    judge = settled.judge
    if choice.skipped:
        yield choice.skipped
    if judge.kind == "embedded":
        yield "embedded, no LLM: costs nothing, and cannot read the policy"
        return
    cost = judge_cost(settled, judge, paths)
    yield f"{judge.model} at {judge.base_url or OPENAI}: an LLM, {_price(cost.usd)}"
    yield f"never above ${judge.budget_usd:,.2f} (--budget-usd); --judge embedded costs nothing"
    if beyond := beyond_budget(judge, cost.usd):
        yield beyond.strip()
    for missing in {_missing_key(one): None for one in (judge, *settled.labels.cheap_judges)}:
        if missing:
            yield f"a run would stop before its first call. {missing}"
    yield ", ".join(f"{calls:,} calls for {purpose}" for purpose, calls in cost.calls.items())
    if cost.at_half_price:
        yield f"{cost.at_half_price:,} of them by the Batch API, at half the price"
    for rung in cost.cheap:
        yield (
            f"of that {rung.model}, asked first: {rung.all_calls:,} calls, {_price(rung.own_usd)}; "
            f"{judge.model}: {_price(cost.own_usd)}, if every pair goes up to it"
        )
    yield (
        f"{cost.million_tokens:,.1f} million tokens, {cost.plan.cached_share:.0%} of the prompts' "
        f"at the cached price; judged by {cost.sampled} documents, {cost.plan.token_rule}"
    )
    yield f"at least {cost.minutes:,.0f} minutes under the limits, at 3 s an answer"
    if show_prompt:
        yield from (f"{m['role']}: {m['content']}" for m in cost.plan.first_prompt)
    else:
        size = sum(len(message["content"]) for message in cost.plan.first_prompt)
        yield f"the first prompt has {size:,} characters: --show-prompt prints it"


def _missing_key(judge: Any) -> str:
    """What a run would say of the judge's key; empty where it is there, or in a Secret block."""
    from tasks.core.labeling.endpoint import api_key
    from tasks.llm_judge import remote_endpoint

    if judge.api_key_block is None:
        try:
            api_key(remote_endpoint(judge))
        except CookbookError as error:
            return str(error)
    return ""


def _price(usd: float | None) -> str:
    return "price unknown: state its prices" if usd is None else f"about ${usd:,.2f}"
