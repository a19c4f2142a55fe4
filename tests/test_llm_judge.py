"""Who grades: an LLM only where somebody asked for it, or where it fits a small budget."""

from dataclasses import replace
from pathlib import Path

import pytest

from flows.cli import main
from flows.profiles import PROFILES, changed, laptop, smoke
from tasks.core.domain.paths import DomainPaths, find_domain
from tasks.core.errors import CookbookError
from tasks.core.labeling.address import OPENAI
from tasks.core.labeling.endpoint import api_key
from tasks.core.labeling.prices import Price
from tasks.judge_settings import AnswerSettings, JudgeSettings, PriceSettings
from tasks.label_settings import LabelSettings
from tasks.llm_judge import (
    Choice,
    choose_judge,
    judge_cost,
    remote_endpoint,
    settle_judge,
    stated_price,
)
from tasks.settings import Settings

PROJECT = Path(__file__).resolve().parents[1]
KEY = {"OPENAI_API_KEY": "sk-9f2c"}
LABELS = laptop().synthesis.max_pairs
ADDRESS = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}


def choice(environment: dict[str, str], usd: float | None = 1.0, **settings: object) -> Choice:
    return choose_judge(JudgeSettings.model_validate(settings), lambda judge: usd, environment)


def test_without_a_key_or_an_address_nobody_speaks_of_money() -> None:
    assert choice({}) == Choice(JudgeSettings(kind="embedded"))


def test_a_key_alone_asks_an_llm_if_the_whole_run_fits_the_budget() -> None:
    found = choice(KEY, usd=4.99)
    assert found.judge.kind == "endpoint"
    assert "about $4.99" in found.notice
    assert "never above budget_usd = $5.00" in found.notice
    assert "--judge embedded" in found.notice


@pytest.mark.parametrize("usd", [5.01, None])
def test_a_key_alone_spends_nothing_if_it_does_not_fit(usd: float | None) -> None:
    found = choice(KEY, usd=usd)
    assert found.judge.kind == "embedded"
    assert not found.notice
    assert "nothing is spent" in found.skipped
    assert "--judge endpoint --budget-usd" in found.skipped


@pytest.mark.parametrize("usd", [1.0, 1000.0, None])
def test_an_address_or_a_word_asks_an_llm_whatever_it_costs(usd: float | None) -> None:
    assert choice(ADDRESS, usd=usd).judge.base_url == ADDRESS["OPENAI_BASE_URL"]
    assert choice({}, usd=usd, base_url="http://127.0.0.1:8/v1").judge.kind == "endpoint"
    asked = choice({}, usd=usd, kind="endpoint")
    assert (asked.judge.kind, asked.judge.base_url) == ("endpoint", None)
    assert "never above" in asked.notice


def test_the_embedded_judge_stays_where_it_is_named() -> None:
    assert choice(KEY | ADDRESS, kind="embedded") == Choice(JudgeSettings(kind="embedded"))


def test_the_settings_chosen_know_nothing_of_the_key() -> None:
    one, other = choice(KEY), choice({"OPENAI_API_KEY": "sk-other"})
    assert one.judge == other.judge
    assert "9f2c" not in one.judge.model_dump_json() + one.notice


def test_the_shipped_domain_does_not_fit_the_small_budget_and_says_its_price() -> None:
    """Whoever has a key exported and types `make run` pays nothing."""
    paths = find_domain("job_search", PROJECT)
    settled, found = settle_judge(laptop(), paths, KEY)
    assert settled.judge.kind == "embedded"
    assert "for about $" in found.skipped
    assert settle_judge(laptop(), paths, {})[0].judge == settled.judge


def test_the_cost_is_in_proportion_to_what_is_asked() -> None:
    paths = find_domain("job_search", PROJECT)
    settings = laptop()
    once = judge_cost(settings, settings.judge, paths)
    twice = judge_cost(settings, changed(settings.judge, answers=AnswerSettings(samples=2)), paths)
    assert once.calls["labels"] == LABELS
    assert once.calls["gate pairs"] == 1200
    assert twice.all_calls == once.all_calls + LABELS
    assert once.usd is not None and twice.usd is not None
    assert twice.usd / once.usd == pytest.approx(twice.all_calls / once.all_calls)


def test_a_stated_price_is_used_and_may_be_nothing() -> None:
    own = JudgeSettings(
        model="in-house-7b", prices=PriceSettings(input_usd=0, cached_input_usd=0, output_usd=0)
    )
    assert stated_price(own) == Price(0.0, 0.0, 0.0)
    cost = judge_cost(laptop(), own, find_domain("job_search", PROJECT))
    assert cost.usd == 0.0
    assert stated_price(JudgeSettings()) is None


def test_the_answer_settings_reach_the_endpoint() -> None:
    answers = AnswerSettings(
        answer_format="text",
        top_logprobs=None,
        temperature=None,
        max_output_tokens=99,
        output_limit_field="max_tokens",
    )
    found = remote_endpoint(JudgeSettings(answers=answers, pinned_model="m-2026"))
    assert found.base_url == OPENAI
    assert (found.answer_format, found.top_logprobs, found.temperature) == ("text", None, None)
    assert (found.max_output_tokens, found.output_limit_field) == (99, "max_tokens")
    assert found.pinned_model == "m-2026"


def test_the_plan_says_what_a_judge_would_cost_and_calls_nobody(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    main(["plan", "--store", str(tmp_path), "--judge", "endpoint", "--budget-usd", "30"])
    shown = capsys.readouterr().out
    assert f"gpt-4.1-mini at {OPENAI}: an LLM, about $" in shown
    assert "never above $30.00" in shown
    assert f"{LABELS:,} calls for labels, 1,200 calls for gate pairs" in shown
    main(["plan", "--store", str(tmp_path)])
    assert "embedded, no LLM: costs nothing" in capsys.readouterr().out


def test_the_plan_tells_what_would_stop_a_run_that_was_paid_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No key, or less money than the labels cost: both end a run, the second with it spent."""

    def planned(*more: str) -> str:
        main(["plan", "--store", str(tmp_path), "--judge", "endpoint", *more])
        return capsys.readouterr().out

    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    assert "would stop before its first call. Expected the key of" in planned()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-own")
    found = planned()
    assert "first call" not in found
    assert "more than the budget: the run may end with it spent" in found
    assert "more than the budget" not in planned("--budget-usd", "30")


def test_an_estimate_above_the_budget_is_told_before_the_first_call() -> None:
    assert "more than the budget" in choice(KEY, usd=9.0, kind="endpoint").notice
    assert "more than the budget" not in choice(KEY, usd=4.0, kind="endpoint").notice


def test_a_negative_budget_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["plan", "--budget-usd=-1"])
    assert end.value.code == 2
    assert "0 dollars or more" in capsys.readouterr().err


def test_a_key_in_a_secret_block_counts_as_a_key() -> None:
    assert choice({}, api_key_block="judge-key").judge.kind == "endpoint"
    assert "judge-key is set" in choice({}, usd=9.0, api_key_block="judge-key").skipped


def test_a_form_cannot_send_the_key_or_a_text_to_a_host_nobody_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judge = JudgeSettings(kind="endpoint", base_url="https://collector.example/v1")
    with pytest.raises(CookbookError, match="collector.example"):
        remote_endpoint(judge, KEY)
    named = KEY | {"COOKBOOK_JUDGE_HOSTS": "collector.example"}
    assert remote_endpoint(judge, named).api_key_env == "OPENAI_API_KEY"
    monkeypatch.delenv("COOKBOOK_JUDGE_HOSTS", raising=False)
    cheap = changed(laptop(), labels=LabelSettings(cheap_judges=(judge,)))
    with pytest.raises(CookbookError, match="collector.example"):
        judge_cost(cheap, JudgeSettings(), find_domain("job_search", PROJECT))


def test_a_server_of_this_machine_is_asked_without_the_key() -> None:
    own = JudgeSettings(base_url="http://127.0.0.1:8000/v1")
    endpoint = remote_endpoint(own, KEY)
    assert endpoint.api_key_env == ""
    assert api_key(endpoint, KEY) == "none"


def test_the_plan_of_a_cascade_counts_every_rung() -> None:
    paths = find_domain("job_search", PROJECT)
    cheap = JudgeSettings(
        kind="endpoint",
        model="in-house",
        base_url="http://127.0.0.1:8000/v1",
        prices=PriceSettings(input_usd=0.1, cached_input_usd=0.1, output_usd=0.1),
    )
    alone = judge_cost(laptop(), JudgeSettings(), paths)
    settings = changed(laptop(), labels=LabelSettings(cheap_judges=(cheap, cheap)))
    both = judge_cost(settings, JudgeSettings(), paths)
    assert [rung.calls for rung in both.cheap] == [{"labels": LABELS}] * 2
    assert both.own_usd == alone.usd
    assert alone.usd and both.usd
    # A rung costs its tokens, of which the plan counts both kinds, at ten cents a million.
    rung = both.cheap[0]
    assert rung.own_usd == pytest.approx(rung.million_tokens * 0.1)
    assert both.usd == pytest.approx(alone.usd + 2 * rung.million_tokens * 0.1)
    assert both.minutes > alone.minutes


def test_a_cheap_judge_without_a_price_leaves_the_whole_without_one() -> None:
    unknown = JudgeSettings(kind="endpoint", model="in-house-9x")
    settings = changed(laptop(), labels=LabelSettings(cheap_judges=(unknown,)))
    assert judge_cost(settings, JudgeSettings(), find_domain("job_search", PROJECT)).usd is None


def test_batches_cost_half_of_the_labels_and_all_of_the_rest() -> None:
    paths = find_domain("job_search", PROJECT)
    live = judge_cost(laptop(), JudgeSettings(), paths)
    batch = changed(laptop(), labels=LabelSettings(mode="batch"))
    batched = judge_cost(batch, JudgeSettings(), paths)
    assert live.usd and batched.usd
    assert batched.usd / live.usd == pytest.approx(1 - live.calls["labels"] / 2 / live.all_calls)


def test_a_second_round_is_in_the_plan() -> None:
    paths = find_domain("job_search", PROJECT)
    more = changed(laptop(), synthesis=changed(laptop().synthesis, second_round_pairs=300))
    assert judge_cost(more, JudgeSettings(), paths).calls["labels"] == LABELS + 300


def test_the_twins_of_members_are_in_the_plan_where_the_judge_is_asked_about_them() -> None:
    paths = find_domain("job_search", PROJECT)

    def twins(settings: Settings, paths: DomainPaths) -> int:
        return judge_cost(settings, settings.judge, paths).calls["fairness twins"]

    assert twins(laptop(), paths) == 200
    assert twins(laptop(), replace(paths, members=None)) == 0
    spared = changed(laptop(), fairness=changed(laptop().fairness, judge_twins=False))
    assert twins(spared, paths) == 0


def test_the_plan_shows_each_rung_and_what_a_foreign_address_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "COOKBOOK_JUDGE_HOSTS"):
        monkeypatch.delenv(name, raising=False)
    cheap = JudgeSettings(kind="endpoint", model="gpt-4.1-nano")
    strong = JudgeSettings(kind="endpoint", budget_usd=500)
    rungs = changed(laptop(), judge=strong, labels=LabelSettings(cheap_judges=(cheap,)))
    monkeypatch.setitem(PROFILES, "rungs", lambda: rungs)
    main(["plan", "--store", str(tmp_path), "--profile", "rungs"])
    shown = capsys.readouterr().out
    assert f"of that gpt-4.1-nano, asked first: {LABELS:,} calls, about $" in shown
    assert "if every pair goes up to it" in shown
    elsewhere = changed(laptop(), judge=changed(strong, base_url="https://collector.example/v1"))
    monkeypatch.setitem(PROFILES, "elsewhere", lambda: elsewhere)
    with pytest.raises(SystemExit) as end:
        main(["plan", "--store", str(tmp_path), "--profile", "elsewhere"])
    assert end.value.code == 2
    assert "COOKBOOK_JUDGE_HOSTS=collector.example" in capsys.readouterr().err


def test_reasons_of_a_judge_that_gives_none_are_refused_before_anything_is_spent() -> None:
    paths = find_domain("job_search", PROJECT)
    learns = changed(smoke().policy_teacher, rationale=smoke().policy_teacher.training)
    for kind in ("embedded", "auto"):
        asked = changed(smoke(), policy_teacher=learns, judge=JudgeSettings(kind=kind))
        with pytest.raises(CookbookError, match="which take an LLM"):
            settle_judge(asked, paths, {})
    asked = changed(smoke(), policy_teacher=learns, judge=JudgeSettings(kind="endpoint"))
    assert settle_judge(asked, paths, {})[0].judge.kind == "endpoint"
