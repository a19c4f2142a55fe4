"""The plan's price holds against what the same run is then billed."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from tasks.core.labeling.client import label_all
from tasks.core.labeling.endpoint import Endpoint
from tasks.core.labeling.journal import Journal, answered_keys
from tasks.core.labeling.plan import estimate, local_tokenizer
from tasks.core.labeling.prices import FREE, Price, price_of
from tasks.core.policy import Policy, parse_policy_text
from tests.core.labeling.conftest import POLICY_TEXT, make_endpoint, make_requests, right_grade
from tests.core.labeling.scripted_endpoint import ScriptedEndpoint

PRICE = Price(input_usd=2.0, cached_input_usd=1.0, output_usd=10.0)


def endpoint(**changes: object) -> Endpoint:
    settings: dict[str, object] = {"base_url": "https://api.example/v1", "model": "m"}
    return Endpoint(**(settings | changes))  # type: ignore[arg-type]


def test_price_of_a_call_by_hand() -> None:
    # 600 fresh at 2, 400 cached at 1, 100 out at 10, per million.
    cost = PRICE.of(input_tokens=1000, output_tokens=100, cached_tokens=400)
    assert cost == pytest.approx((1200 + 400 + 1000) / 1e6)


def test_a_known_model_has_its_list_price() -> None:
    # OpenAI's price list for gpt-4o-mini: 0.15, 0.075 cached, 0.60 per million tokens.
    price = price_of(endpoint(model="gpt-4o-mini"))
    assert price is not None
    assert price.input_usd == pytest.approx(0.15)
    assert price.cached_input_usd == pytest.approx(0.075)
    assert price.output_usd == pytest.approx(0.60)


def test_an_unknown_model_has_no_invented_price(policy: Policy) -> None:
    assert price_of(endpoint(model="in-house-7b")) is None
    assert estimate(make_requests(3), policy, endpoint(model="in-house-7b")).usd is None


def test_the_embedded_judge_is_free() -> None:
    assert price_of(endpoint(is_llm=False)) == FREE


def test_what_nobody_lists_is_free_on_this_machine_and_what_is_listed_is_not() -> None:
    here = "http://127.0.0.1:8000/v1"
    assert price_of(endpoint(base_url=here, model="in-house-7b")) == FREE
    # A proxy on this machine passes the bill on.
    proxied = price_of(endpoint(base_url=here, model="gpt-4o-mini"))
    assert proxied == price_of(endpoint(model="gpt-4o-mini")) != FREE


def test_every_part_of_the_plan_by_hand(policy: Policy) -> None:
    plan = estimate(
        make_requests(10),
        policy,
        endpoint(requests_per_minute=60.0, max_output_tokens=100),
        price=PRICE,
        count_tokens=lambda text: 2000 if text.startswith("---") else 50,
    )
    # Ten prompts of 2,050 tokens; nine of the prefixes are remembered; ten answers of 100.
    assert (plan.pairs, plan.to_label) == (10, 10)
    assert (plan.input_tokens, plan.output_tokens) == (20_500, 1_000)
    assert plan.cached_share == pytest.approx(18_000 / 20_500)
    assert plan.usd == pytest.approx((2_500 * 2 + 18_000 * 1 + 1_000 * 10) / 1e6)
    assert plan.seconds == pytest.approx(10.0)


def test_a_short_policy_is_not_counted_as_cached(policy: Policy) -> None:
    plan = estimate(make_requests(10), policy, endpoint(), count_tokens=lambda text: 1000)
    assert plan.cached_share == 0.0


def test_the_plan_shows_the_first_prompt_whole(policy: Policy) -> None:
    first = estimate(make_requests(3), policy, endpoint()).first_prompt
    assert first[0]["content"].startswith(policy.text.strip())
    assert "job 0 worth 0" in first[1]["content"]


def test_what_is_paid_for_is_left_out(policy: Policy, tmp_path: Path) -> None:
    with ScriptedEndpoint(right_grade) as server:
        scripted = make_endpoint(server)
        with Journal(tmp_path / "j") as journal:
            label_all(make_requests(6), policy=policy, endpoint=scripted, journal=journal)
            # The plan can be made while a run holds the journal.
            answered = answered_keys(tmp_path / "j")
    plan = estimate(make_requests(10), policy, scripted, answered=answered)
    assert (plan.pairs, plan.to_label) == (10, 4)
    edited = parse_policy_text(POLICY_TEXT.replace("Of no use.", "Of no use!"), "policy.md")
    assert estimate(make_requests(10), edited, scripted, answered=answered).to_label == 10


def test_a_plan_without_pairs_costs_nothing(policy: Policy, tmp_path: Path) -> None:
    plan = estimate([], policy, endpoint(), price=PRICE, answered=answered_keys(tmp_path / "none"))
    assert (plan.to_label, plan.usd, plan.seconds) == (0, 0.0, 0.0)


def test_a_tokenizer_that_is_not_here_is_not_fetched() -> None:
    assert local_tokenizer("gpt-4o-mini") is None


def test_the_embedded_tokenizer_counts_for_itself(tmp_path: Path) -> None:
    alphabet = {letter: number for number, letter in enumerate("abc ")}
    letters = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE(alphabet, [])))
    letters.save_pretrained(tmp_path)
    count = local_tokenizer(str(tmp_path))
    assert count is not None
    assert count("abc a") == 5
