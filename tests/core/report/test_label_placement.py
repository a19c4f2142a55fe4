from itertools import combinations

from tasks.core.report.label_placement import Label, place_labels

FRAME = (0.0, 0.0, 460.0, 300.0)


def _span(label: Label, name: str) -> tuple[float, float]:
    width = 7.2 * len(name)  # as DejaVu Sans, which stands in for others, draws 12 px in bold
    left = {"start": label.x, "middle": label.x - width / 2, "end": label.x - width}[label.anchor]
    return left, left + width


def test_names_of_points_on_one_spot_do_not_cover_each_other() -> None:
    points = [
        (200.0, 150.0, "Policy teacher"),
        (201.0, 152.0, "Click teacher"),
        (204.0, 149.0, "Assistant"),
    ]
    labels = place_labels(points, FRAME)
    for (a, (_, _, one)), (b, (_, _, two)) in combinations(zip(labels, points, strict=True), 2):
        apart = _span(a, one)[1] <= _span(b, two)[0] or _span(b, two)[1] <= _span(a, one)[0]
        assert apart or abs(a.y - b.y) >= 14


def test_a_name_at_the_edge_turns_inward() -> None:
    (label,) = place_labels([(450.0, 150.0, "Pruned student")], FRAME)
    assert _span(label, "Pruned student")[1] <= 460


def test_a_name_keeps_clear_of_an_obstacle() -> None:
    free = place_labels([(200.0, 150.0, "Student")], FRAME)
    kept_clear = place_labels([(200.0, 150.0, "Student")], FRAME, [(220.0, 150.0)])
    assert free[0].anchor == "start"
    assert kept_clear[0].anchor == "end"
