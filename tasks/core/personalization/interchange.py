"""Models in the Avro layout that GDMix and Photon ML share, read and written."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa

from tasks.core.errors import CookbookError
from tasks.core.personalization.convergence import PER_ENTITY, ConvergenceReport
from tasks.core.personalization.random_effect_model import RandomEffectModel

INTERCEPT = "(INTERCEPT)"
TERM_MARK = "\x01"  # Photon ML's own mark between name and term, which may hold commas
NAMESPACE = "com.linkedin.photon.avro.generated"
MODEL_CLASSES = {
    "logistic": "com.linkedin.photon.ml.supervised.classification.LogisticRegressionModel",
    "linear": "com.linkedin.photon.ml.supervised.regression.LinearRegressionModel",
    "poisson": "com.linkedin.photon.ml.supervised.regression.PoissonRegressionModel",
}
_COEFFICIENT = {
    "type": "record",
    "name": "NameTermValueAvro",
    "namespace": NAMESPACE,
    "fields": [
        {"name": "name", "type": "string"},
        {"name": "term", "type": "string"},
        {"name": "value", "type": "double"},
    ],
}
_OPTIONAL_TEXT = ["null", "string"]
SCHEMA = {
    "type": "record",
    "name": "BayesianLinearModelAvro",
    "namespace": NAMESPACE,
    "fields": [
        {"name": "modelId", "type": "string"},
        {"name": "modelClass", "type": _OPTIONAL_TEXT, "default": None},
        {"name": "means", "type": {"type": "array", "items": _COEFFICIENT}},
        {
            "name": "variances",
            "type": ["null", {"type": "array", "items": f"{NAMESPACE}.NameTermValueAvro"}],
            "default": None,
        },
        {"name": "lossFunction", "type": _OPTIONAL_TEXT, "default": None},
    ],
}


def write_avro_models(model: RandomEffectModel, path: Path) -> None:
    """Write one record per entity: the intercept first, then the stored coefficients.

    A feature name of the form name, TERM_MARK, term is written as that name and term; any other
    as a name with an empty term. A fixed effect is a model of one entity.
    """
    parsed = fastavro.parse_schema(SCHEMA)
    with path.open("wb") as file:
        fastavro.writer(file, parsed, _records(model), codec="deflate", sync_marker=bytes(16))


def _records(model: RandomEffectModel) -> Iterator[dict[str, Any]]:
    names = [_name_and_term(name) for name in (INTERCEPT, *model.feature_names)]
    spread = model.variances is not None and model.intercept_variances is not None
    for e, entity_id in enumerate(model.entity_ids.to_pylist()):
        own = slice(int(model.starts[e]), int(model.starts[e + 1]))
        places = [0, *(model.columns[own] + 1).tolist()]
        means = [float(model.intercepts[e]), *model.values[own].tolist()]
        variances: list[float] = []
        if model.variances is not None and model.intercept_variances is not None:
            variances = [float(model.intercept_variances[e]), *model.variances[own].tolist()]
        yield {
            "modelId": entity_id,
            "modelClass": MODEL_CLASSES[model.task],
            "means": _entries([names[k] for k in places], means),
            "variances": _entries([names[k] for k in places], variances) if spread else None,
            "lossFunction": "",
        }


def _entries(names: list[tuple[str, str]], values: list[float]) -> list[dict[str, Any]]:
    return [
        {"name": name, "term": term, "value": value}
        for (name, term), value in zip(names, values, strict=True)
    ]


def _name_and_term(feature: str) -> tuple[str, str]:
    name, _, term = feature.partition(TERM_MARK)
    return name, term


def read_avro_models(path: Path, feature_names: Sequence[str] | None = None) -> RandomEffectModel:
    """Read the records of one file as the models of a coordinate.

    Features are those of `feature_names` (coefficients of others are left out, as GDMix does) or
    all that occur, sorted. The intercept is found by its name, wherever it stands.
    Raises CookbookError on models of mixed or unknown classes and on repeated ids.
    """
    with path.open("rb") as file:
        records = [_checked(record) for record in fastavro.reader(file)]
    means = [_by_feature(record["means"]) for record in records]
    variances = [_by_feature(record["variances"] or []) for record in records]
    occurring = sorted({name for model in means for name in model} - {INTERCEPT})
    names = tuple(occurring if feature_names is None else feature_names)
    order = _order([record["modelId"] for record in records])
    starts, columns = _layout([means[e] for e in order], names)
    spread = any(record["variances"] is not None for record in records)
    flat = [name for e in order for name in names if name in means[e]]
    owners = np.repeat(order, np.diff(starts)).tolist()
    places = list(zip(owners, flat, strict=True))
    return RandomEffectModel(
        feature_names=names,
        task=_task(records),
        entity_ids=pa.array([records[e]["modelId"] for e in order], pa.string()),
        intercepts=np.array([means[e].get(INTERCEPT, 0.0) for e in order], np.float64),
        starts=starts,
        columns=columns,
        values=np.array([means[e][name] for e, name in places], np.float64),
        report=_no_report(len(records)),
        intercept_variances=np.array([variances[e].get(INTERCEPT, 0.0) for e in order])
        if spread
        else None,
        variances=np.array([variances[e].get(name, 0.0) for e, name in places]) if spread else None,
    )


def _checked(record: object) -> dict[str, Any]:
    if not isinstance(record, dict) or not {"modelId", "means"} <= record.keys():
        raise CookbookError(
            "Expected Avro records of BayesianLinearModelAvro with modelId and means, got other "
            "records; pass a model file."
        )
    return record


def _by_feature(entries: list[dict[str, Any]]) -> dict[str, float]:
    return {
        entry["name"] + (TERM_MARK + entry["term"] if entry["term"] else ""): entry["value"]
        for entry in entries
    }


def _order(ids: list[str]) -> list[int]:
    if len(set(ids)) != len(ids):
        raise CookbookError(f"Expected distinct model ids, got {len(set(ids))} among {len(ids)}.")
    return sorted(range(len(ids)), key=lambda e: ids[e].encode())


def _layout(
    models: list[dict[str, float]], names: tuple[str, ...]
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], np.ndarray[tuple[int], np.dtype[np.int32]]]:
    numbers = [[j for j, name in enumerate(names) if name in model] for model in models]
    starts = np.zeros(len(models) + 1, np.int64)
    np.cumsum([len(own) for own in numbers], out=starts[1:])
    return starts, np.array([j for own in numbers for j in own], np.int32)


def _task(records: list[dict[str, Any]]) -> str:
    classes = {record.get("modelClass") for record in records}
    tasks = {name: task for task, name in MODEL_CLASSES.items()}
    if len(classes) != 1 or not classes <= {None, *tasks}:
        raise CookbookError(
            f"Expected models of one class among {sorted(tasks)}, got {sorted(map(str, classes))}."
        )
    found = classes.pop()
    return "logistic" if found is None else tasks[found]


def _no_report(entities: int) -> ConvergenceReport:
    types = (np.int64, np.int32, np.float64, np.float64, np.bool_, np.bool_)
    arrays: dict[str, Any] = {
        n: np.zeros(entities, t) for n, t in zip(PER_ENTITY, types, strict=True)
    }
    return ConvergenceReport(0, 0, entities, 0, 0, 0, 0.0, **arrays)
