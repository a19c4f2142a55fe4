"""Values mended between groups of documents where a model serves: by the map, by nothing else."""

import numpy as np
import pytest

from tasks.core.domain.catalog import Catalog
from tasks.core.errors import CookbookError
from tasks.core.fairness.mitigation import EqualOpportunityMap, save_map
from tasks.core.serving import Mix, open_model
from tasks.core.store.registry import Registry
from tests.core.training.tiny import WORDS, tiny_scorer

GROUPS = ("small", "large", "")
CATALOG = Catalog(
    {
        f"d{number}": {
            "title": word,
            "text": word,
            "attributes": "{}",
            "groups": f'{{"size": "{group}"}}' if group else "{}",
        }
        for number, (word, group) in enumerate(zip(WORDS, GROUPS * 3, strict=False))
    },
    {},
)
ROWS = [
    *({"query_id": "q", "query": "nurse", "doc_id": doc_id} for doc_id in CATALOG.documents),
    {"query_id": "q", "query": "nurse", "title": "nurse", "text": "nurse"},
]
KNOTS = np.array([0.0, 1.0])
LIFTED = EqualOpportunityMap(
    "size", 0.5, {"small": KNOTS, "large": KNOTS}, {"small": KNOTS / 2 + 0.5, "large": KNOTS}
)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """One scorer as two versions, the second with a map that serves at half its strength."""
    folder = tmp_path_factory.mktemp("models")
    tiny_scorer("random_encoder").save(folder / "scorer")
    save_map(LIFTED, folder / "mitigation.json")
    registry = Registry(folder / "registry")
    files = {"scorer": folder / "scorer"}
    assert registry.register(files, {}) == "v0001"
    mended = {**files, "mitigation.json": folder / "mitigation.json"}
    assert registry.register(mended, {}) == "v0002"
    return registry


def values_of(registry: Registry, version: str) -> list[float]:
    served = open_model(registry, version)
    return [row["value"] for row in served.score(ROWS, CATALOG, Mix())]


def test_a_version_with_a_map_serves_mended_values_of_the_groups_it_knows(
    registry: Registry,
) -> None:
    before, after = values_of(registry, "v0001"), values_of(registry, "v0002")
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        # Small ones are mapped to old / 2 + 0.5, at half the strength; no other group is touched.
        known = number < len(CATALOG.documents) and GROUPS[number % 3] == "small"
        expected = old + 0.5 * (0.5 - old / 2) if known else old
        assert new == pytest.approx(expected, abs=1e-12)


def test_nothing_but_the_value_changes_and_no_line_names_a_group(registry: Registry) -> None:
    old, new = (
        open_model(registry, version).score(ROWS, CATALOG, Mix()) for version in ("v0001", "v0002")
    )
    for before, after in zip(old, new, strict=True):
        changed = {name for name in before if before[name] != after[name]}
        assert changed <= {"value", "model_version"}
        assert "small" not in str(after)


def test_another_mixture_than_the_map_was_fitted_at_is_refused(registry: Registry) -> None:
    with pytest.raises(CookbookError, match="fitted at Mix"):
        open_model(registry, "v0002").score(ROWS, CATALOG, Mix(relevance_weight=0.9))


def test_a_version_made_before_there_were_maps_serves_as_ever(registry: Registry) -> None:
    assert open_model(registry, "v0001").mending is None
    assert open_model(registry, "v0002").mending is not None
