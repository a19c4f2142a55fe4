"""Guards how a domain is found: by a plain name, with its required files, below one root."""

from pathlib import Path

import pytest

from tasks.core.domain.paths import find_domain, provenance, valid_name
from tasks.core.errors import CookbookError


@pytest.fixture
def root(tmp_path):
    for name in (
        "policy/shoes/policy.md",
        "golden_data/shoes/golden.csv",
        "golden_data/shoes/documents.jsonl",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return tmp_path


def test_optional_files_that_are_not_there_are_none(root):
    paths = find_domain("shoes", root)
    assert paths.documents == root / "golden_data/shoes/documents.jsonl"
    assert (paths.queries, paths.members, paths.impressions) == (None, None, None)


def test_the_compressed_documents_come_first(root):
    (root / "golden_data/shoes/documents.jsonl.gz").write_text("x")
    assert find_domain("shoes", root).documents.name == "documents.jsonl.gz"


def test_an_unknown_domain_is_told_which_there_are(root):
    with pytest.raises(CookbookError, match=r"none named 'hats'.*It has: shoes.*--root"):
        find_domain("hats", root)


def test_a_root_without_domains_says_so(tmp_path):
    with pytest.raises(CookbookError, match="It has: none"):
        find_domain("shoes", tmp_path)


@pytest.mark.parametrize(
    "name", ["policy/shoes/policy.md", "golden_data/shoes/golden.csv", "documents.jsonl"]
)
def test_a_missing_required_file_is_named(root, name):
    found = next(root.rglob(name))
    found.unlink()
    with pytest.raises(CookbookError, match=f"needs .*{found.name}.*there is none"):
        find_domain("shoes", root)


@pytest.mark.parametrize("name", ["artifacts", "scratch", "run.lock", "report_server.json"])
def test_a_name_that_a_store_has_for_something_else_is_refused(root, name):
    """`clean` and `forget` would take its models and labels for artifacts or checkpoints."""
    with pytest.raises(CookbookError, match=f"are taken; came '{name}'"):
        find_domain(name, root)
    assert valid_name(name, "run") == name


@pytest.mark.parametrize(
    "name", ["", "..", "../shoes", "a/b", "Shoes", "a b", "-x", ".x", "a\n", "ü", "x" * 65]
)
def test_a_name_that_could_leave_the_folder_is_refused(root, name):
    with pytest.raises(CookbookError, match="A domain is named by 1 to 64 small letters"):
        find_domain(name, root)


def test_before_people_have_graded_a_domain_is_found_without_grades(root):
    (root / "golden_data/shoes/golden.csv").unlink()
    paths = find_domain("shoes", root, graded=False)
    assert paths.golden == root / "golden_data/shoes/golden.csv"


def test_a_plain_name_stays_as_it_is():
    assert valid_name("job_search-2.1", "domain") == "job_search-2.1"


def test_the_data_card_s_first_paragraph_says_where_the_data_comes_from(tmp_path: Path) -> None:
    card = tmp_path / "DATA_CARD.md"
    card.write_text("# Card\n\n**All of it is simulated.** By the\nsimulator.\n\nMore.\n")
    assert provenance(card) == "All of it is simulated. By the simulator."
