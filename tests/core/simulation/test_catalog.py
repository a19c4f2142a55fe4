"""The taxonomy is large enough, consistent, and its distances are those of the map."""

import numpy as np
import pytest

from tasks.core.simulation.catalog import (
    GENERALIZATION,
    SAME,
    SPECIALIZATION,
    Catalog,
    load_catalog,
)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


def occupation(catalog: Catalog, title: str) -> int:
    return [surfaces[0] for surfaces in catalog.occupations.surfaces].index(title)


def test_taxonomy_is_as_large_as_promised(catalog: Catalog) -> None:
    assert catalog.occupations.count >= 150
    assert len(catalog.families) >= 20
    assert len(catalog.places.city) >= 60
    assert len(catalog.companies) >= 80
    assert len(catalog.skills) >= 300


def test_no_two_occupations_share_a_name(catalog: Catalog) -> None:
    names = [name for surfaces in catalog.occupations.surfaces for name in surfaces]
    assert len(names) == len(set(names))


def test_kinship_runs_both_ways(catalog: Catalog) -> None:
    relation = catalog.occupations.relation
    assert (np.diag(relation) == SAME).all()
    assert ((relation == SPECIALIZATION) == (relation.T == GENERALIZATION)).all()
    rest = ~np.isin(relation, (SPECIALIZATION, GENERALIZATION))
    assert (relation == relation.T)[rest].all()


def test_narrower_occupation_is_a_specialization_of_the_wider(catalog: Catalog) -> None:
    wide, narrow = occupation(catalog, "registered nurse"), occupation(catalog, "icu nurse")
    assert catalog.occupations.relation[wide, narrow] == SPECIALIZATION


def test_support_runs_from_the_asked_occupation_to_the_job_that_serves_it(
    catalog: Catalog,
) -> None:
    engineer = occupation(catalog, "software engineer")
    recruiter = occupation(catalog, "technical recruiter")
    assert catalog.occupations.supports[engineer, recruiter]
    assert not catalog.occupations.supports[recruiter, engineer]


@pytest.mark.parametrize(
    ("one", "other", "kilometers"),
    [("London", "Paris", 344), ("New York", "Los Angeles", 3936), ("Sydney", "Melbourne", 713)],
)
def test_distances_are_those_of_the_map(
    catalog: Catalog, one: str, other: str, kilometers: int
) -> None:
    cities = catalog.places.city
    found = catalog.places.distance[cities.index(one), cities.index(other)]
    assert found == pytest.approx(kilometers, rel=0.01)


def test_every_regulated_occupation_names_a_credential_with_other_words_for_it(
    catalog: Catalog,
) -> None:
    nurse = catalog.occupations.credential[occupation(catalog, "registered nurse")]
    assert "active RN" in catalog.credentials[nurse]
    assert all(len(phrases) >= 2 for phrases in catalog.credentials)
