"""Click teachers trained otherwise, from a finished run's artifacts: unweighted, and without bots.

Every variant starts from the run's policy teacher and gets the run's settings and as many rows,
so that only the log or its weights differ. All are measured on the run's held-out members, on
random-order lists, where no older ranker decided what had a chance. One training of a transformer
is noisier than the effect of the weights, so that the model of words, whose fit has no chance in
it, is fitted with and without them too.
"""

import csv
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.click_words import learned_from_log
from tasks.core.domain.catalog import Catalog
from tasks.core.intervals import bootstrap_statistic, number_clusters
from tasks.core.ranking import weighted_auc
from tasks.core.retrieval.embeddings import TextEncoder
from tasks.core.tables import Row, read_rows
from tasks.core.training.base_models import BaseModel
from tasks.core.training.scorer import PairScorer
from tasks.core.training.teachers import Lora, click_weights, train_click_teacher
from tasks.exchange import TRAINING_LOG, list_numbers, optimization
from tasks.settings import Settings, TeacherSettings

Floats = npt.NDArray[np.float64]
Find = Callable[[str], Path]


def ablations(artifact: Find, truth: Path, settings: Settings) -> dict[str, float]:
    """AUC differences of the run's way of training to the others, with their intervals.

    ``settings`` are those of the run.
    """
    rows = read_rows(artifact("impressions") / "impressions.parquet")
    training = [row for row in rows if row["use"] == "train"]
    held_out = [row for row in rows if row["use"] == "held_out"]
    catalog = Catalog.load(artifact("catalog"))
    bots = _bots(truth)
    figures = {"bot_rows_left": float(np.mean([row["member_id"] in bots for row in rows]))}

    def scores(variant: list[Row], *, weighted: bool) -> Floats:
        scorer = PairScorer.load(artifact("policy_teacher") / "scorer")
        _train(scorer, catalog, variant, settings.click_teacher, weighted=weighted)
        return clicked_logits(scorer)

    def clicked_logits(scorer: PairScorer) -> Floats:
        logits = scorer.logits(catalog.pairs(scorer.template, held_out))
        clicks: Floats = logits[:, scorer.outputs.grade_count].astype(np.float64)
        return clicks

    # The run's own teacher was trained with weights on all rows: it need not be trained again.
    ours = clicked_logits(PairScorer.load(artifact("click_teacher") / "scorer"))
    figures |= _difference("debiasing_gain", held_out, ours, scores(training, weighted=False))
    figures |= words_debiasing(artifact("impressions"), catalog, held_out, settings)
    clean = [row for row in training if row["member_id"] not in bots]
    seer = ours if len(clean) == len(training) else scores(clean, weighted=True)
    figures |= _difference("seer_without_bots_gain", held_out, seer, ours)
    return figures


def words_debiasing(
    impressions: Path, catalog: Catalog, held_out: list[Row], settings: Settings
) -> dict[str, float]:
    """The model of words on the whole training log of ``impressions``, weighted and not."""
    encoder = TextEncoder.of(BaseModel(**settings.encoder.model_dump()))
    weighted = read_rows(impressions / TRAINING_LOG)
    level = [{**row, "weight": 1.0} for row in weighted]

    def clicks(log: list[Row]) -> Floats:
        learned = learned_from_log(
            catalog, encoder, {}, log, held_out, ("clicked",), settings.click_words
        )
        return learned[2][:, 0]

    return _difference("words_debiasing_gain", held_out, clicks(weighted), clicks(level))


def _bots(truth: Path) -> set[str]:
    with gzip.open(truth / "members.csv.gz", "rt", encoding="utf-8") as file:
        return {row["member_id"] for row in csv.DictReader(file) if row["bot"] == "1"}


def _train(
    scorer: PairScorer,
    catalog: Catalog,
    rows: list[Row],
    settings: TeacherSettings,
    *,
    weighted: bool,
) -> None:
    lists = list_numbers([row["impression_id"] for row in rows])
    taken = np.array([[row[name] for name in scorer.outputs.actions] for row in rows], float)
    inverse = np.array([row["weight"] for row in rows]) if weighted else np.ones(len(rows))
    train_click_teacher(
        scorer,
        catalog.pairs(scorer.template, rows),
        taken,
        click_weights(taken, lists, inverse),
        lists,
        optimization(settings.training),
        lora=Lora(settings.lora.rank, settings.lora.alpha) if settings.lora else None,
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
