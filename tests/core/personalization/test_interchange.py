"""Avro models of GDMix and Photon ML: the published record, round trips, refused files."""

from pathlib import Path

import fastavro
import numpy as np
import pytest

from tasks.core.errors import CookbookError
from tasks.core.personalization.interchange import (
    MODEL_CLASSES,
    SCHEMA,
    TERM_MARK,
    read_avro_models,
    write_avro_models,
)
from tasks.core.personalization.options import RandomEffectOptions
from tasks.core.personalization.random_effects import fit_random_effect
from tests.core.personalization.simulated_clicks import simulate_clicks


def gdmix_record(**change: object) -> dict[str, object]:
    """The record that GDMix's own test of its Avro export expects."""
    means = [
        {"name": "(INTERCEPT)", "term": "", "value": -7.8},
        {"name": "f1,2", "term": "t1", "value": 1.2},
        {"name": "f2", "term": "", "value": 3.4},
        {"name": "f3", "term": "t3,3", "value": 5.6},
    ]
    variances = [
        {"name": "(INTERCEPT)", "term": "", "value": 1.2},
        {"name": "f1,2", "term": "t1", "value": 7.8},
        {"name": "f2", "term": "", "value": 9.0},
        {"name": "f3", "term": "t3,3", "value": 10.1},
    ]
    record = {
        "modelId": "1234", "modelClass": MODEL_CLASSES["logistic"], "means": means,
        "variances": variances, "lossFunction": "",
    }  # fmt: skip
    return record | change


def write(path: Path, records: list[dict[str, object]]) -> Path:
    with path.open("wb") as file:
        fastavro.writer(file, fastavro.parse_schema(SCHEMA), records)
    return path


def test_a_record_of_gdmix_is_read_and_written_back_as_it_was(tmp_path: Path) -> None:
    model = read_avro_models(write(tmp_path / "in.avro", [gdmix_record()]))
    found = model.coefficients("1234")
    assert found is not None
    assert found.intercept == -7.8
    assert found.intercept_variance == 1.2
    assert found.values == {f"f1,2{TERM_MARK}t1": 1.2, "f2": 3.4, f"f3{TERM_MARK}t3,3": 5.6}
    write_avro_models(model, tmp_path / "out.avro")
    with (tmp_path / "out.avro").open("rb") as file:
        assert list(fastavro.reader(file)) == [gdmix_record()]


def test_the_intercept_is_found_by_name_wherever_it_stands(tmp_path: Path) -> None:
    """Quirk: GDMix's fixed effect puts the intercept last, its random effect first."""
    means = gdmix_record()["means"]
    assert isinstance(means, list)
    turned = gdmix_record(means=means[::-1], variances=None)
    model = read_avro_models(write(tmp_path / "in.avro", [turned]))
    assert model.intercepts.tolist() == [-7.8]
    assert model.score(["1234"], np.array([[1.0, 0.0, 0.0]])).tolist() == pytest.approx([-6.6])


def test_a_shorter_feature_list_drops_the_other_coefficients(tmp_path: Path) -> None:
    path = write(tmp_path / "in.avro", [gdmix_record(variances=None)])
    model = read_avro_models(path, ["f2", "unknown"])
    assert model.dense().tolist() == [[3.4, 0.0]]


@pytest.mark.parametrize("variances", ["none", "full"])
def test_a_fitted_model_survives_the_round_trip(tmp_path: Path, variances: str) -> None:
    log = simulate_clicks([20, 30, 25], seed=1)
    options = RandomEffectOptions(variances=variances)  # type: ignore[arg-type]
    model = fit_random_effect(log.members, log.features, log.labels, options=options)
    write_avro_models(model, tmp_path / "model.avro")
    back = read_avro_models(tmp_path / "model.avro")
    assert back.entity_ids.equals(model.entity_ids)
    assert back.task == "logistic"
    np.testing.assert_array_equal(back.dense(), model.dense())
    np.testing.assert_array_equal(back.intercepts, model.intercepts)
    assert (back.variances is None) == (variances == "none")
    if model.variances is not None:
        np.testing.assert_array_equal(back.variances, model.variances)


def test_mixed_classes_and_repeated_ids_are_refused(tmp_path: Path) -> None:
    mixed = [gdmix_record(), gdmix_record(modelId="2", modelClass=MODEL_CLASSES["poisson"])]
    with pytest.raises(CookbookError, match="models of one class"):
        read_avro_models(write(tmp_path / "mixed.avro", mixed))
    with pytest.raises(CookbookError, match="distinct model ids, got 1 among 2"):
        read_avro_models(write(tmp_path / "twice.avro", [gdmix_record(), gdmix_record()]))
