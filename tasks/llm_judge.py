"""The LLM as judge: its endpoint, what a run with it may cost, and when it is asked at all."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.core.biases import BIASES
from tasks.core.domain.catalog import FIELD_MARK
from tasks.core.domain.corpus import read_documents, read_members
from tasks.core.domain.golden import assign_splits, read_golden
from tasks.core.domain.paths import DomainPaths
from tasks.core.errors import CookbookError
from tasks.core.fairness.twins import MOST_TEXTS
from tasks.core.labeling.address import ADDRESS_VARIABLE, OPENAI, gets_key
from tasks.core.labeling.endpoint import Endpoint
from tasks.core.labeling.plan import LabelPlan, estimate, local_tokenizer
from tasks.core.labeling.prices import Price, price_of
from tasks.core.labeling.prompts import LabelRequest
from tasks.core.labeling.query_writer import PER_REQUEST
from tasks.core.labeling.twins import ATTACKS
from tasks.core.policies.parse import parse_policy
from tasks.core.policy import Policy
from tasks.judge_settings import JudgeSettings
from tasks.run import Run
from tasks.settings import EvaluationSettings, FairnessSettings, Settings, SynthesisSettings

# Per minute; the endpoint's own refusals (429) are heeded all the same.
NO_LIMIT = 1e9
_SAMPLED_DOCUMENTS = 200


@dataclass(frozen=True)
class JudgeCost:
    """What a run's judge would be asked: calls by purpose, and the plan of all of them.

    Left out, since nobody knows them before: repairs of answers that cannot be read, and the
    sample of old labels that is asked again after an edit of the policy.

    ``plan`` is that of ``sampled`` pairs; the rest is in proportion. ``cheap`` are the judges of
    a cascade that are asked first, about every pair; which pairs then go up nobody knows before,
    so that the judge's own labels are counted as if all of them did. ``at_half_price`` calls go
    through the Batch API.
    """

    model: str
    calls: dict[str, int]
    plan: LabelPlan
    sampled: int
    at_half_price: int = 0
    cheap: tuple["JudgeCost", ...] = ()

    @property
    def all_calls(self) -> int:
        return sum(self.calls.values())

    @property
    def own_usd(self) -> float | None:
        """US dollars for this judge's own calls; None where no price is known."""
        priced = self.all_calls - self.at_half_price / 2
        return None if self.plan.usd is None else self.plan.usd * priced / max(1, self.sampled)

    @property
    def usd(self) -> float | None:
        """US dollars for all calls, those of cheap judges included; None if any has no price."""
        found = [self.own_usd, *(one.own_usd for one in self.cheap)]
        return None if None in found else sum(filter(None, found))

    @property
    def million_tokens(self) -> float:
        own = (self.plan.input_tokens + self.plan.output_tokens) * self._times / 1e6
        return own + sum(one.million_tokens for one in self.cheap)

    @property
    def minutes(self) -> float:
        """One judge after the other."""
        return self.plan.seconds * self._times / 60 + sum(one.minutes for one in self.cheap)

    @property
    def _times(self) -> float:
        return self.all_calls / max(1, self.sampled)


@dataclass(frozen=True)
class Choice:
    """The judge of a run, settled; what to tell people about it, and what was left out for it."""

    judge: JudgeSettings
    notice: str = ""
    skipped: str = ""


def choose_judge(
    judge: JudgeSettings,
    cost: Callable[[JudgeSettings], float | None],
    environment: Mapping[str, str],
) -> Choice:
    """Settle ``auto`` and the address; nothing in the result depends on the key itself.

    An address, in the settings or in OPENAI_BASE_URL, asks for an LLM. A key alone may have been
    exported for something else: then the LLM grades only if the whole run, as ``cost`` estimates
    it, stays within ``budget_usd``; else the embedded judge grades, and the run says so.
    """
    if judge.kind == "embedded":
        return Choice(judge)
    address = judge.base_url or environment.get(ADDRESS_VARIABLE, "").strip() or None
    llm = _with(judge, kind="endpoint", base_url=address)
    has_key = bool(judge.api_key_block or environment.get(judge.api_key_variable, "").strip())
    if judge.kind == "auto" and address is None and not has_key:
        return Choice(_with(judge, kind="embedded"))
    usd = cost(llm)
    if judge.kind == "auto" and address is None and (usd is None or usd > judge.budget_usd):
        return Choice(_with(judge, kind="embedded"), skipped=_too_dear(judge, usd))
    return Choice(llm, notice=_about_to_pay(llm, usd))


def settle_judge(
    settings: Settings, paths: DomainPaths, environment: Mapping[str, str] = os.environ
) -> tuple[Settings, Choice]:
    """The settings with a judge that is settled, the cheap ones' addresses included.

    Raises:
        CookbookError: a teacher is to learn reasons, and the judge settled on gives none.
    """

    def usd(judge: JudgeSettings) -> float | None:
        return judge_cost(settings, judge, paths).usd

    choice = choose_judge(settings.judge, usd, environment)
    if settings.policy_teacher.rationale is not None and choice.judge.kind == "embedded":
        raise CookbookError(
            "The rationale stage learns the judge's reasons, which take an LLM; the embedded judge "
            "grades, and gives none. Use --judge endpoint, or set policy_teacher.rationale to null."
        )
    cheap = tuple(
        choose_judge(one, lambda _: None, environment).judge for one in settings.labels.cheap_judges
    )
    labels = {**dict(settings.labels), "cheap_judges": cheap}
    changed = {**dict(settings), "judge": choice.judge, "labels": labels}
    return Settings.model_validate(changed), choice


def announce(choice: Choice, run: Run) -> None:
    """Say what the judge may cost before anything is spent, or why no LLM grades."""
    if choice.notice:
        run.say(choice.notice)
    if choice.skipped:
        run.skip("llm_judge", choice.skipped)


def _with(judge: JudgeSettings, **changes: object) -> JudgeSettings:
    return JudgeSettings.model_validate({**dict(judge), **changes})


def _too_dear(judge: JudgeSettings, usd: float | None) -> str:
    price = "at a price nobody lists" if usd is None else f"for about ${usd:,.2f}"
    key = judge.api_key_block or judge.api_key_variable
    return (
        f"{key} is set, but grading with {judge.model} {price} is not within budget_usd = "
        f"${judge.budget_usd:,.2f}: the embedded judge grades, and nothing is spent. "
        "For the LLM: --judge endpoint --budget-usd AMOUNT."
    )


def _about_to_pay(judge: JudgeSettings, usd: float | None) -> str:
    price = "a price nobody lists" if usd is None else f"about ${usd:,.2f}"
    return (
        f"An LLM grades: {judge.model} at {judge.base_url or OPENAI}, {price}, never above "
        f"budget_usd = ${judge.budget_usd:,.2f}.{beyond_budget(judge, usd)} --judge embedded keeps "
        "to the judge that costs nothing."
    )


def beyond_budget(judge: JudgeSettings, usd: float | None) -> str:
    """What to know of an estimate above the budget before it is spent; empty of one within."""
    if usd is None or usd <= judge.budget_usd:
        return ""
    return (
        " That is more than the budget: the run may end with it spent, its answers kept and "
        "nothing trained. Raise --budget-usd or label fewer pairs."
    )


def remote_endpoint(
    settings: JudgeSettings, environment: Mapping[str, str] = os.environ
) -> Endpoint:
    """An endpoint outside this project, as its settings describe it.

    Raises:
        CookbookError: the settings name a host that the environment does not.
    """
    answers, base_url = settings.answers, settings.base_url or OPENAI
    return Endpoint(
        base_url=base_url,
        model=settings.model,
        pinned_model=settings.pinned_model,
        api_key_env=settings.api_key_variable if gets_key(base_url, environment) else "",
        concurrency=settings.concurrency,
        timeout_s=settings.timeout_s,
        requests_per_minute=float(settings.requests_per_minute or NO_LIMIT),
        tokens_per_minute=float(settings.tokens_per_minute or NO_LIMIT),
        answer_format=answers.answer_format,
        top_logprobs=answers.top_logprobs,
        temperature=answers.temperature,
        max_output_tokens=answers.max_output_tokens,
        output_limit_field=answers.output_limit_field,
    )


def stated_price(settings: JudgeSettings) -> Price | None:
    """The price that the settings state; None leaves it to the price table."""
    return Price(**dict(settings.prices)) if settings.prices else None


def judge_cost(settings: Settings, judge: JudgeSettings, paths: DomainPaths) -> JudgeCost:
    """What this judge would cost at most, from the domain's own texts; spends nothing.

    Raises:
        CookbookError: the domain's files cannot be read.
    """
    policy, requests = parse_policy(paths.policy), _sample_requests(paths)
    most = settings.synthesis.most_labels(has_log=paths.impressions is not None)
    labels = most * judge.answers.samples

    def cost(one: JudgeSettings, calls: dict[str, int], **how: Any) -> JudgeCost:
        return JudgeCost(one.model, calls, _plan(one, requests, policy), len(requests), **how)

    return cost(
        judge,
        {
            "labels": labels,
            "gate pairs": _gate_pairs(settings, paths, policy.grade_count),
            "checks": _check_calls(judge),
            "queries": _query_calls(settings.synthesis, policy),
            "biases": _bias_calls(settings.evaluation),
            "fairness twins": _twin_calls(settings.fairness) if paths.members else 0,
        },
        at_half_price=labels if settings.labels.mode == "batch" else 0,
        cheap=tuple(cost(one, {"labels": most}) for one in settings.labels.cheap_judges),
    )


def _plan(judge: JudgeSettings, requests: list[LabelRequest], policy: Policy) -> LabelPlan:
    endpoint = remote_endpoint(judge)
    return estimate(
        requests,
        policy,
        endpoint,
        price=stated_price(judge) or price_of(endpoint),
        count_tokens=local_tokenizer(judge.model),
    )


def _query_calls(synthesis: SynthesisSettings, policy: Policy) -> int:
    """Of the first round, and at most one for each clause in a second."""
    first = -(-synthesis.generated_queries // PER_REQUEST)
    return first + (min(first, len(policy.clauses)) if synthesis.second_round_pairs else 0)


def _bias_calls(evaluation: EvaluationSettings) -> int:
    """Each pair with each edit, and without: the gate asked about that already."""
    return len(BIASES) * evaluation.bias_pairs if evaluation.judge_biases else 0


def _twin_calls(fairness: FairnessSettings) -> int:
    """Each different text of a pair's twins: pairs without a member's text have none."""
    return MOST_TEXTS * fairness.twin_pairs if fairness.judge_twins else 0


def _check_calls(judge: JudgeSettings) -> int:
    """Prompt search; three passes of wobble; each attack, noise and a bare prompt; canaries."""
    checks = judge.checks
    twins = (len(ATTACKS) + 2) * checks.twin_pairs
    return checks.prompt_search_calls + 3 * checks.wobble_pairs + twins + checks.canary_pairs


def _gate_pairs(settings: Settings, paths: DomainPaths, grade_count: int) -> int:
    known = {row["doc_id"] for row in read_documents(paths.documents)}
    rows = read_golden(paths.golden, grade_count=grade_count, doc_ids=known)
    split = settings.golden
    rows = assign_splits(rows, tune_share=split.tune_share, gate_share=split.gate_share)
    return sum(row["split"] == "gate" for row in rows)


def _sample_requests(paths: DomainPaths) -> list[LabelRequest]:
    """A pair for each of the first documents, with its title as the query."""
    documents = read_documents(paths.documents)[:_SAMPLED_DOCUMENTS]
    members = read_members(paths.members)[:_SAMPLED_DOCUMENTS] if paths.members else []
    return [
        LabelRequest(
            pair_id=str(number),
            query=row["title"],
            member_text=members[number % len(members)]["text"] if members else "",
            document_text=FIELD_MARK.join((row["title"], row["text"], row["attributes"])),
        )
        for number, row in enumerate(documents)
    ]
