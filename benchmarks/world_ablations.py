"""Click teachers trained otherwise, from a finished run's artifacts: unweighted, and without bots.

Every variant starts from the run's policy teacher and gets the run's settings and as many rows,
so that only the log or its weights differ, in what words say too; for the bots' rows the words'
log is the run's own, which its filter had cleaned. All are measured on the run's held-out members,
on random-order lists, where no older ranker decided what had a chance.
"""

import csv
import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flows.profiles import EMBEDDED, laptop
from tasks.click_words import words_and_logits
from tasks.core.domain.catalog import Catalog
from tasks.core.intervals import bootstrap_statistic, number_clusters
from tasks.core.ranking import weighted_auc
from tasks.core.retrieval.embeddings import TextEncoder
from tasks.core.tables import Row, read_rows
from tasks.core.training.base_models import BaseModel
from tasks.core.training.scorer import PairScorer
from tasks.core.training.teachers import Lora, train_click_teacher
from tasks.exchange import CLICK_WORDS, TRAINING_LOG, optimization
from tasks.train_teachers import clicks_of

Floats = npt.NDArray[np.float64]
Find = Callable[[str], Path]


def ablations(artifact: Find, truth: Path) -> dict[str, float]:
    """AUC differences of the run's way of training to the others, with their intervals."""
    rows = read_rows(artifact("impressions") / "impressions.parquet")
    training = [row for row in rows if row["use"] == "train"]
    held_out = [row for row in rows if row["use"] == "held_out"]
    catalog = Catalog.load(artifact("catalog"))
    bots = _bots(truth)
    figures = {"bot_rows_left": float(np.mean([row["member_id"] in bots for row in rows]))}

    words = _WordsOfRun(artifact, catalog)

    def scores(variant: list[Row], *, weighted: bool) -> Floats:
        scorer = PairScorer.load(artifact("policy_teacher") / "scorer")
        _train(scorer, catalog, variant, words, weighted=weighted)
        return clicked_logits(scorer)

    def clicked_logits(scorer: PairScorer) -> Floats:
        logits = scorer.logits(catalog.pairs(scorer.template, held_out))
        clicks: Floats = logits[:, scorer.outputs.grade_count].astype(np.float64)
        return clicks

    # The run's own teacher is trained with weights on all rows: it need not be trained again.
    ours = PairScorer.load(artifact("click_teacher") / "scorer")
    own = clicked_logits(ours)
    figures |= _difference("debiasing_gain", held_out, own, scores(training, weighted=False))
    clean = [row for row in training if row["member_id"] not in bots]
    seer = own if len(clean) == len(training) else scores(clean, weighted=True)
    figures |= _difference("seer_without_bots_gain", held_out, seer, own)
    return figures


class _WordsOfRun:
    """The run's linear model of words, fitted again with weights or without."""

    def __init__(self, artifact: Find, catalog: Catalog) -> None:
        self._catalog, self._encoder = catalog, TextEncoder.of(BaseModel(**EMBEDDED.model_dump()))
        self._log = read_rows(artifact("impressions") / TRAINING_LOG)
        self.pairs = read_rows(artifact("click_words") / CLICK_WORDS)

    def expected(self, actions: Sequence[str], *, weighted: bool) -> list[Row]:
        """The run's pairs with the logits of a model of that kind."""
        taken = np.array([[row[name] for name in actions] for row in self._log], dtype=np.float64)
        inverse = np.array([row["weight"] for row in self._log])
        weights = np.where((taken > 0) & weighted, inverse[:, None], 1.0)
        l2 = laptop().click_words.l2
        _, _, logits = words_and_logits(
            self._catalog, self._encoder, self._log, taken, weights, self.pairs, l2=l2
        )
        return [{**row, "logits": one} for row, one in zip(self.pairs, logits, strict=True)]


def _bots(truth: Path) -> set[str]:
    with gzip.open(truth / "members.csv.gz", "rt", encoding="utf-8") as file:
        return {row["member_id"] for row in csv.DictReader(file) if row["bot"] == "1"}


def _train(
    scorer: PairScorer, catalog: Catalog, rows: list[Row], words: _WordsOfRun, *, weighted: bool
) -> None:
    settings = laptop().click_teacher
    shown = rows if weighted else [{**row, "weight": 1.0} for row in rows]
    actions = scorer.outputs.actions
    given = clicks_of(shown, actions).with_expected(words.expected(actions, weighted=weighted))
    assert settings.lora is not None
    train_click_teacher(
        scorer,
        catalog.pairs(scorer.template, given.rows),
        given.taken,
        given.weights,
        given.lists(),
        optimization(settings.training),
        lora=Lora(settings.lora.rank, settings.lora.alpha),
        expected=given.expected,
        expected_share=laptop().click_words.share,
    )


def _difference(name: str, rows: list[Row], ours: Floats, theirs: Floats) -> dict[str, float]:
    clicked = np.array([row["clicked"] for row in rows], dtype=np.float64)
    members = number_clusters([row["member_id"] for row in rows])
    gain = bootstrap_statistic(
        lambda weights: (
            weighted_auc(clicked, ours, weights) - weighted_auc(clicked, theirs, weights)
        ),
        members,
    )
    return {name: gain.value, f"{name}_low": gain.low, f"{name}_high": gain.high}
