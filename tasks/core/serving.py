"""Scoring with a registered model: JSON lines in, the same lines with probabilities out."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.core.calibration import ActionCalibration
from tasks.core.domain.catalog import Catalog
from tasks.core.domain.corpus import MAX_TEXT_CHARACTERS, read_documents, read_members
from tasks.core.domain.paths import DomainPaths
from tasks.core.domain.readers import read_json_lines
from tasks.core.errors import CookbookError
from tasks.core.fairness.mitigation import EqualOpportunityMap, load_map
from tasks.core.inputs import PairText, render_pair
from tasks.core.personalization.effects import Effects
from tasks.core.store.long_writes import long_write
from tasks.core.store.registry import Registry
from tasks.core.store.versions import Model
from tasks.core.tables import Row
from tasks.core.text import pair_id
from tasks.core.training.scorer import (
    PairScorer,
    grade_probabilities,
    relevance,
    single_grades,
)

ROWS_AT_ONCE = 512
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Mix:
    """How relevance and actions make the value that candidates are ranked by.

    value = relevance_weight * relevance + (1 - relevance_weight) * P(first action); below
    ``relevance_floor`` the second term is 0, so that no click lifts what is irrelevant.
    """

    relevance_weight: float = 0.5
    relevance_floor: float = 0.25

    def __post_init__(self) -> None:
        if not (0 <= self.relevance_weight <= 1 and 0 <= self.relevance_floor <= 1):
            raise CookbookError(
                "The weight of relevance and its floor are shares from 0 to 1; came "
                f"{self.relevance_weight} and {self.relevance_floor}. Give other ones."
            )

    def __call__(self, relevances: Floats, probabilities: Floats | None) -> Floats:
        """Values (n,) of relevances (n,) and probabilities (n,); relevance alone without these."""
        if probabilities is None:
            return relevances
        credited = np.where(relevances >= self.relevance_floor, probabilities, 0.0)
        return self.relevance_weight * relevances + (1 - self.relevance_weight) * credited


@dataclass(frozen=True)
class ServedModel:
    """A registered version, loaded."""

    version: str
    scorer: PairScorer
    effects: Effects | None
    mending: EqualOpportunityMap | None = None

    @classmethod
    def load(cls, model: Model) -> "ServedModel":
        effects, mending = model.file("effects"), model.file("mitigation.json")
        return cls(
            model.version,
            PairScorer.load(model.file("scorer"), for_scoring=True),
            Effects.load(effects) if effects.is_dir() else None,
            load_map(mending) if mending.is_file() else None,
        )

    def score(self, rows: Sequence[Row], catalog: Catalog, mix: Mix) -> list[Row]:
        """The rows with single_grade, grade_probabilities, relevance, action_probabilities,
        personalized_probabilities, value and model_version; and pair_id, where doc_id is stated.

        Raises:
            CookbookError: the version's values are mended, and `mix` is not the usual one.
        """
        scorer = self.scorer
        grades = scorer.outputs.grade_count
        logits = scorer.logits([_text(scorer, row, catalog) for row in rows]).astype(np.float64)
        temperature = scorer.calibration.get("temperature", 1.0)
        by_grade = grade_probabilities(logits, grades, temperature=temperature)
        relevances = relevance(by_grade)
        # Cut on the uncalibrated scale, on which the cuts were found.
        single = single_grades(
            grade_probabilities(logits, grades), scorer.calibration.get("grade_cuts")
        )
        actions = self._actions(logits[:, grades:])
        personal = self._personal(rows, logits[:, grades:], catalog)
        first = next(iter(actions.values()), None)
        values = mix(relevances, next(iter(personal.values()), first))
        if self.mending is not None:
            _check_mended(self.mending, mix)
            # Fitted and measured before anybody's effects, so their part of the value stays.
            groups = _groups(rows, catalog, self.mending.attribute)
            values = values + self.mending.shift(mix(relevances, first), groups)
        return [
            {
                **_identified(row),
                "single_grade": int(single[number]),
                "grade_probabilities": by_grade[number].tolist(),
                "relevance": float(relevances[number]),
                "action_probabilities": {k: float(v[number]) for k, v in actions.items()},
                "personalized_probabilities": {k: float(v[number]) for k, v in personal.items()},
                "value": float(values[number]),
                "model_version": self.version,
            }
            for number, row in enumerate(rows)
        ]

    def text_read(self, row: Row, catalog: Catalog) -> str:
        """What is left of the pair's text after its cut, as the model's tokenizer says it back."""
        tokens = self.scorer.tokenize([_text(self.scorer, row, catalog)])
        return str(self.scorer.tokenizer.decode(tokens.token_ids[0].tolist()))

    def click_parts(self, row: Row, catalog: Catalog) -> dict[str, float]:
        """What adds up to the row's logit of the first action: the student's, and its effects'.

        A member or job without an effect adds 0; without actions there is nothing.
        """
        if not self.scorer.outputs.actions:
            return {}
        logits = self.scorer.logits([_text(self.scorer, row, catalog)]).astype(np.float64)
        first = logits[:, self.scorer.outputs.grade_count]
        if self.effects is None:
            return {"student": float(first[0])}
        parts = self.effects.parts([row], first, catalog)
        return {name: float(values[0]) for name, values in parts.items()}

    def _calibrations(self) -> dict[str, ActionCalibration]:
        fitted = self.scorer.calibration.get("actions", {})
        return {
            name: ActionCalibration.from_json(fitted[name])
            for name in self.scorer.outputs.actions
            if name in fitted
        }

    def _actions(self, logits: Floats) -> dict[str, Floats]:
        names = self.scorer.outputs.actions
        return {
            name: calibration(logits[:, names.index(name)])
            for name, calibration in self._calibrations().items()
        }

    def _personal(self, rows: Sequence[Row], logits: Floats, catalog: Catalog) -> dict[str, Floats]:
        calibrations = self._calibrations()
        if self.effects is None or not calibrations:
            return {}
        name, calibration = next(iter(calibrations.items()))
        return {name: calibration(self.effects.logits(rows, logits[:, 0], catalog))}


def _identified(row: Row) -> Row:
    """The row, and its pair_id, by which `cookbook explain` knows it."""
    if not row.get("doc_id"):
        return row
    return {**row, "pair_id": pair_id(row["query_id"], row.get("member_id"), row["doc_id"])}


def _check_mended(mending: EqualOpportunityMap, mix: Mix) -> None:
    if mix != Mix():
        raise CookbookError(
            f"This model's values are mended between groups of {mending.attribute!r}, which was "
            f"fitted at {Mix()}; came {mix}. Leave the weights as they are, or serve a version "
            "without fairness.mitigation."
        )


def _groups(rows: Sequence[Row], catalog: Catalog, attribute: str) -> list[str | None]:
    """Each row's document's group; none for a document that the domain does not know."""
    stated = (catalog.documents.get(row.get("doc_id", ""), {}).get("groups") for row in rows)
    return [json.loads(groups or "{}").get(attribute) for groups in stated]


def open_model(registry: Registry, version: str | None = None) -> ServedModel:
    """The model in service, or the version asked for, loaded.

    Raises:
        CookbookError: there is none, or its files are damaged.
    """
    return ServedModel.load(find_model(registry, version))


def find_model(registry: Registry, version: str | None = None) -> Model:
    """The model in service, or the version asked for, checked by hash.

    Raises:
        CookbookError: there is none, or its files are damaged.
    """
    model = registry.model(version) if version else registry.current()
    if model is None:
        raise CookbookError(
            f"Scoring needs a model in service; {registry.folder} has none. Run `cookbook run`, "
            "or promote a version (`cookbook models list`)."
        )
    return model


def domain_catalog(paths: DomainPaths) -> Catalog:
    """The domain's documents and members, as the pipeline reads them."""
    members = read_members(paths.members) if paths.members else []
    return Catalog(
        {row["doc_id"]: row for row in read_documents(paths.documents)},
        {row["member_id"]: row for row in members},
    )


def score_file(
    model: ServedModel, source: Path, target: Path, catalog: Catalog, mix: Mix | None = None
) -> int:
    """Score a file of JSON lines into another; returns the number of rows.

    The target appears when it is whole; a broken line leaves nothing behind.

    Raises:
        CookbookError: a line is no object, or lacks a field, or names an unknown document; or
            the target cannot be a file.
    """
    if not source.is_file():
        raise CookbookError(f"Scoring reads a file of JSON lines; there is no {source}.")
    if target.is_dir() or not target.parent.is_dir():
        raise CookbookError(f"Scores are one file in a folder that exists; came {target}.")
    count = 0
    # Scores name members: they are their owner's alone.
    with long_write(target, mode=0o600) as stream:
        for rows in _chunks(_checked_rows(source, catalog), ROWS_AT_ONCE):
            for scored in model.score(rows, catalog, mix or Mix()):
                stream.write(json.dumps(scored, ensure_ascii=False, allow_nan=False) + "\n")
            count += len(rows)
    return count


def _checked_rows(source: Path, catalog: Catalog) -> Iterator[Row]:
    for number, row in read_json_lines(source):
        _check(row, catalog, f"{source}, line {number}")
        yield row


def _check(row: Row, catalog: Catalog, where: str) -> None:
    texts = [name for name in ("query_id", "query") if not isinstance(row.get(name), str)]
    texts += [
        name
        for name in ("doc_id", "title", "text", "member_id")
        if not isinstance(row.get(name, ""), str)
    ]
    if texts:
        raise CookbookError(
            f"{where}: query_id and query are needed, and every field is text; "
            f"{', '.join(texts)} is not. Correct the line."
        )
    if not isinstance(row.get("attributes") or {}, dict):
        raise CookbookError(
            f'{where}: attributes are one JSON object, such as {{"city": "Lisbon"}}; came '
            f"{type(row['attributes']).__name__}. Correct the line."
        )
    if not {"title", "text"} <= row.keys() and row.get("doc_id") not in catalog.documents:
        raise CookbookError(
            f"{where}: a pair has title and text, or the doc_id of a known document; came "
            f"{row.get('doc_id')!r}. Add title and text, or name the right --domain and --root."
        )


def _text(scorer: PairScorer, row: Row, catalog: Catalog) -> PairText:
    if {"title", "text"} <= row.keys():
        attributes = json.dumps(row.get("attributes") or {})
        # Cut as a document of the domain is: what stands behind could come to the front.
        title, text = (row[name][:MAX_TEXT_CHARACTERS] for name in ("title", "text"))
        document: Row = {"title": title, "text": text, "attributes": attributes}
    else:
        document = catalog.documents[row["doc_id"]]
    member_text = catalog.member_text(row.get("member_id", ""))
    return render_pair(scorer.template, row["query"], member_text, document)


def _chunks(rows: Iterable[Any], size: int) -> Iterator[list[Any]]:
    waiting = iter(rows)
    while chunk := list(islice(waiting, size)):
        yield chunk
