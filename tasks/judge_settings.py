"""Settings of the judge: who grades, how it is asked, what it may cost, how good it must be."""

from typing import Literal

from pydantic import Field

from tasks.branch import Branch, Seed, Share


class PriceSettings(Branch):
    """What an endpoint bills, in US dollars per million tokens; 0 for a server of one's own."""

    input_usd: float = Field(
        ge=0, description="Per million tokens of prompts that the endpoint did not remember."
    )
    cached_input_usd: float = Field(ge=0, description="The same for a prefix that it remembered.")
    output_usd: float = Field(
        ge=0, description="Per million tokens of answers; what a model thinks is billed so too."
    )


class AnswerSettings(Branch):
    """What a request asks for; servers differ in what they take. Changes the labels' keys."""

    answer_format: Literal["json_schema", "json_object", "text"] = Field(
        default="json_schema",
        description="json_schema: the server holds the answer to the schema (OpenAI, vLLM); "
        "json_object: to JSON; text: to nothing, for servers with neither.",
    )
    top_logprobs: int | None = Field(
        default=20,
        ge=1,
        le=20,
        description="Log-probabilities asked for, which make the grade's distribution; None "
        "where the model gives none.",
    )
    temperature: float | None = Field(
        default=0.0, ge=0, le=2, description="None where the model takes only its own."
    )
    samples: int = Field(
        default=1,
        ge=1,
        le=32,
        description="Answers per pair; above 1 their shares are the grade's distribution, and "
        "each costs a call.",
    )
    sampling_temperature: float = Field(
        default=1.0, gt=0, le=2, description="Temperature where samples is above 1."
    )
    max_output_tokens: int = Field(
        default=4000, ge=64, description="A longer answer is cut off; thinking counts."
    )
    output_limit_field: Literal["max_completion_tokens", "max_tokens"] = Field(
        default="max_completion_tokens", description="max_tokens for older servers."
    )


class JudgeCheckSettings(Branch):
    """What an LLM judge must stand beside its kappa before it may label.

    None of it is asked of the embedded judge, which reads no prompt.
    """

    prompt_search_calls: int = Field(
        default=0,
        ge=0,
        description="Calls that finding the best prompt on tune pairs may take; 0: the plain one.",
    )
    wobble_pairs: int = Field(
        default=40, ge=0, description="Gate pairs asked again, in other words, in another order."
    )
    twin_pairs: int = Field(
        default=24, ge=0, description="Gate pairs that are asked about with hostile text added."
    )
    canary_pairs: int = Field(
        default=20, ge=0, description="Tune pairs that are asked about again on each day of a run."
    )
    bias: float = Field(default=0.5, ge=0, description="Most grades off on average.")
    moved_share: Share = Field(default=0.25, description="Most grades that move by wobble.")
    mean_move: float = Field(default=0.3, ge=0, description="Most that they move on average.")
    raised_share: Share = Field(default=0.1, description="Most grades that hostile text raises.")
    noise_share: Share = Field(default=0.1, description="Most nonsense that gets a grade.")
    dimension_kappa: float = Field(
        default=0.1, ge=-1, le=1, description="Least kappa with people on a dimension."
    )
    canary_drop: Share = Field(
        default=0.1, description="Most that the share of exact canaries may fall."
    )


class JudgeSettings(Branch):
    """Who grades, and how good it must be before it may label."""

    kind: Literal["auto", "embedded", "endpoint"] = Field(
        default="auto",
        description="embedded: small, on loopback, no LLM, costs nothing; endpoint: any "
        "OpenAI-compatible one; auto: an endpoint if its address is given, or if its key is set "
        "and the whole run stays within budget_usd; else embedded.",
    )
    model: str = Field(
        default="gpt-4.1-mini", description="Name that the endpoint knows the model by."
    )
    pinned_model: str | None = Field(
        default=None,
        description="Dated name that every answer must bear; None: the first answer's.",
    )
    base_url: str | None = Field(
        default=None, description="Endpoint; None: OPENAI_BASE_URL, else OpenAI's own."
    )
    api_key_variable: str = Field(
        default="OPENAI_API_KEY",
        pattern=r"^[A-Z][A-Z0-9_]*$",
        description="NAME of the environment variable that holds the key, never the key.",
    )
    api_key_block: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9-]{1,64}$",
        description="NAME of a Prefect Secret block that holds the key, in place of the variable.",
    )
    prices: PriceSettings | None = Field(
        default=None, description="None: the list price that genai-prices knows."
    )
    budget_usd: float = Field(
        default=5.0,
        ge=0,
        description="Hard cap on US dollars for one judge: what all runs spend together until "
        "the policy, golden grades, documents, members, the model or how it is asked change. "
        "Then a new sum begins.",
    )
    answers: AnswerSettings = AnswerSettings()
    checks: JudgeCheckSettings = JudgeCheckSettings()
    floor_kappa: float = Field(
        default=0.4, ge=0, le=1, description="Least kappa on the gate split."
    )
    floor_human_share: Share = Field(
        default=0.5, description="Least share of the human raters' own kappa."
    )
    concurrency: int = Field(default=32, ge=1, le=1024, description="Requests in flight.")
    requests_per_minute: int = Field(
        default=0, ge=0, description="Requests sent per minute at most; 0: no limit."
    )
    tokens_per_minute: int = Field(
        default=0, ge=0, description="Tokens sent and asked for per minute at most; 0: no limit."
    )
    timeout_s: float = Field(default=60.0, gt=0, description="Seconds for one request.")
    max_quarantine_share: Share = Field(
        default=0.05,
        description="Largest share of pairs without a usable answer; beyond it labeling stops.",
    )
    sent_attributes: tuple[str, ...] | None = Field(
        default=None,
        description="Attributes of documents that a judge may read. None: all but those that say "
        "who somebody is (names, contacts, links, gender ...), which never leave.",
    )
    seed: Seed = 0
