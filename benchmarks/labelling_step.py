"""The whole of labeling on many pairs, in one process: pairs chosen, labeled, chosen once more.

    python -m benchmarks.labelling_step FOLDER PAIRS

The answers lie in the payment journal before it starts, so that no endpoint takes part. Prints
the peak memory in MB after each step as one JSON object; what a step alone imports is in it.
"""

import json
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tasks.asking import PROMPT, labels_folder
from tasks.core.domain.catalog import Catalog
from tasks.core.labeling.journal import Journal
from tasks.core.labeling.prompts import DEFAULT_PROMPT, request_key
from tasks.core.labeling.replies import Reply
from tasks.core.policy import parse_policy
from tasks.core.store.artifacts import Artifact, Counts, Workbench, materialize
from tasks.core.store.files import write_json
from tasks.exchange import PAIRS, POLICY, Domain
from tasks.ingest import ingest
from tasks.label import label
from tasks.llm_judge import remote_endpoint
from tasks.mine_pairs import mine_pairs
from tasks.run import open_run
from tasks.settings import (
    BaseModelSettings,
    GoldenSettings,
    JudgeSettings,
    LabelSettings,
    MixSettings,
    SynthesisSettings,
)
from tasks.synthesize import synthesize
from tasks.to_label import PairRequests
from tests.core.labeling.conftest import POLICY_TEXT
from tests.core.labeling.scripted_endpoint import grade_answer

NAME = "many"
DOCUMENTS = 1000
PER_QUERY = 200
SECOND_ROUND = 2000
ENCODER = BaseModelSettings(source="random_encoder", name="tiny")
JUDGE = JudgeSettings(
    kind="endpoint",
    model="scripted-1",
    base_url="http://127.0.0.1:1/v1",
    prices={"input_usd": 0.0, "cached_input_usd": 0.0, "output_usd": 0.0},
)


def write_domain(root: Path, pairs: int) -> None:
    """A policy, documents, golden grades, and as many queries as the pairs need."""
    policy, data = root / "policy" / NAME, root / "golden_data" / NAME
    policy.mkdir(parents=True)
    data.mkdir(parents=True)
    (policy / "policy.md").write_text(POLICY_TEXT, encoding="utf-8")
    documents = (
        {"doc_id": f"d{n}", "title": f"job {n}", "text": f"work {n * 31} in town {n % 50}. " * 20}
        for n in range(DOCUMENTS)
    )
    lines = "".join(json.dumps(one | {"attributes": {}}) + "\n" for one in documents)
    (data / "documents.jsonl").write_text(lines, encoding="utf-8")
    graded = (f"g{n % 20},golden {n % 20},d{n},{n // 20 % 4}\n" for n in range(200))
    (data / "golden.csv").write_text("query_id,query,doc_id,grade\n" + "".join(graded))
    asked = (f"q{n},town {n} work\n" for n in range(-(-pairs // PER_QUERY)))
    (data / "queries.csv").write_text("query_id,query\n" + "".join(asked))


def pay(domain: Domain, pairs: Artifact) -> None:
    """Put an answer to every pair into the payment journal."""
    catalog, policy = Catalog.load(domain.catalog.folder), parse_policy(domain.policy.file(POLICY))
    endpoint = remote_endpoint(JUDGE)
    requests = PairRequests(pairs.file(PAIRS), catalog, JUDGE)
    with Journal(labels_folder() / "journal.jsonl") as journal:
        for number, request in enumerate(requests):
            key = request_key(policy, request, DEFAULT_PROMPT, endpoint)
            if key not in journal:
                answer = grade_answer(number % 4)
                reply = Reply(text=answer, model="scripted-1", finish_reason="stop")
                journal.intend(key, pair_id=request.pair_id, usd=0.0, run="", billed=True)
                journal.answer(key, reply, usd=0.0, run="")


def plain_prompt(bench: Workbench) -> Counts:
    write_json(bench.out / PROMPT, {"prompt": asdict(DEFAULT_PROMPT)})
    return {}


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def step(function: Any, *arguments: Any) -> Artifact:
    """Run a step without Prefect around it."""
    made: Artifact = function.fn(*arguments)
    return made


def main() -> None:
    """Run the steps; print the peaks."""
    folder, pairs = Path(sys.argv[1]), int(sys.argv[2])
    write_domain(folder / "root", pairs)
    synthesis = SynthesisSettings(
        generated_queries=0,
        lexical_candidates=0,
        dense_candidates=PER_QUERY,
        hard_negatives=0,
        random_negatives=0,
        max_pairs=pairs,
        second_round_pairs=min(SECOND_ROUND, pairs),
    )
    peaks = {"start": peak_mb()}
    with open_run(folder / "runs", NAME):
        domain: Domain = ingest.fn("many", folder / "root", GoldenSettings())
        chosen = step(synthesize, domain, None, ENCODER, synthesis, MixSettings())
        assert chosen.counts["pairs"] == pairs
        peaks["choose"] = peak_mb()
        made_from = [domain.policy, domain.golden, domain.catalog]
        judge, verdict = (
            materialize(kind, plain_prompt, settings={}, upstream=made_from)
            for kind in ("judge", "verdict")
        )
        pay(domain, chosen)
        done = step(label, domain, chosen, judge, verdict, ENCODER, JUDGE, LabelSettings())
        assert done.counts == {"judgments": pairs, "quarantined": 0}
        peaks["label"] = peak_mb()
        step(mine_pairs, domain, chosen, done, None, ENCODER, synthesis, MixSettings())
        peaks["choose_again"] = peak_mb()
    print(json.dumps(peaks))


if __name__ == "__main__":
    main()
