"""Step: a classifier of queries by intent, trained and measured."""

from pathlib import Path

import numpy as np

from tasks.core.domain.golden import assign_splits
from tasks.core.domain.intents import read_intents
from tasks.core.domain.paths import valid_name
from tasks.core.store.artifacts import Artifact, Counts, Workbench
from tasks.core.store.files import file_sha256, write_json
from tasks.core.training.base_models import BaseModel, new_scorer
from tasks.core.training.intents import (
    as_texts,
    intent_figures,
    intent_outputs,
    intent_template,
)
from tasks.core.training.intents import train_intents as learn
from tasks.exchange import INTENTS, SCORER, optimization
from tasks.intent_settings import IntentSettings
from tasks.run import current_run
from tasks.step import make, step


@step
def train_intents(domain: str, root: Path, settings: IntentSettings) -> Artifact:
    """Learn golden_data/DOMAIN/intents.csv; measured on its sealed queries, which taught nothing.

    Raises:
        CookbookError: the file is missing, or holds what it cannot.
    """
    path = root / "golden_data" / valid_name(domain, "domain") / "intents.csv"
    rows = read_intents(path)
    base = BaseModel(**settings.base.model_dump())

    def build(bench: Workbench) -> Counts:
        # The gate split decides on promotion of a ranker; here it trains.
        share = settings.test_share
        split = assign_splits(rows, tune_share=(1 - share) / 2, gate_share=(1 - share) / 2)
        outputs = intent_outputs([row["intent"] for row in rows])
        template = intent_template(base, settings.max_tokens)
        scorer = new_scorer(base, outputs, template, seed=settings.training.seed)
        taught = [row for row in split if row["split"] != "sealed"]
        tested = [row for row in split if row["split"] == "sealed"]
        numbers = {name: number for number, name in enumerate(outputs.names)}
        report = learn(
            scorer,
            [row["query"] for row in taught],
            np.array([numbers[row["intent"]] for row in taught]),
            optimization(settings.training),
            checkpoints=bench.scratch,
            progress=lambda done, total: current_run().progress("intents", done, total),
        )
        logits = scorer.logits(as_texts([row["query"] for row in tested]))
        actual = np.array([numbers[row["intent"]] for row in tested])
        figures = intent_figures(outputs.names, actual, logits.argmax(axis=1))
        write_json(bench.out / INTENTS, figures)
        scorer.save(bench.out / SCORER)
        return {"taught": len(taught), "tested": len(tested), "steps": report.steps}

    return make(
        "intents",
        build,
        module=__name__,
        settings={**settings.model_dump(mode="json"), "weights": base.fingerprint()},
        outside={"intents": file_sha256(path)},
    )
