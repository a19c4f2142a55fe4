import pytest

from tasks.core.report import quantities as q


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (q.decimal(-0.5), "\u22120.500"),
        (q.decimal(-0.0001), "0.000"),
        (q.decimal(None), "not measured"),
        (q.signed(0.0312), "+0.031"),
        (q.signed(-0.0312), "\u22120.031"),
        (q.signed(0.0001), "0.000"),
        (q.percent(0.974), "97.4%"),
        (q.percent(None), "not measured"),
        (q.count(12345), "12,345"),
        (q.parameters(375_830_528), "375.8M"),
        (q.parameters(999_960), "1.0M"),
        (q.parameters(512), "512"),
        (q.size(45_300_000), "45.3 MB"),
        (q.size(10), "10 B"),
        (q.rate(1234.5), "1,234"),
        (q.rate(3.14159), "3.14"),
        (q.duration(59.99), "1 min 00 s"),
        (q.duration(134.2), "2 min 14 s"),
        (q.duration(3660), "1 h 01 min"),
        (q.money(0.0042), "$0.0042"),
        (q.money(1234.5), "$1,234.50"),
        (q.money(0), "$0.00"),
        (q.span(0.84, None), ""),
        (q.span(0.84, 0.87, 1, as_percent=True), "84.0% to 87.0%"),
        (q.words("js_divergence"), "JS divergence"),
        (q.words("ndcg_at_10_before"), "NDCG@10 before"),
        (q.lower_words("policy_teacher"), "policy teacher"),
        (q.lower_words("auc"), "AUC"),
    ],
)
def test_numbers_and_names_read_as_expected(written: str, expected: str) -> None:
    assert written == expected
