"""Guards that a fit which did not end well is seen: its row says how many and how far."""

from tasks.core.report.sections.personalization import personalization
from tests.core.report.example_report import full_report
from tests.core.report.page import read_page


def test_fits_that_did_not_converge_stand_in_the_page() -> None:
    words = read_page(personalization(full_report())).words
    assert "How the fits ended" in words
    assert "2,210 38,907 4.8 3e-03 7 0" in words


def test_a_report_of_before_has_no_such_table() -> None:
    report = full_report()
    del report["personalization"]["convergence"]
    assert "How the fits ended" not in read_page(personalization(report)).words
