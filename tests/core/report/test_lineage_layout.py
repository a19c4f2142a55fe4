from itertools import pairwise

from tasks.core.report.lineage_layout import lay_out

GRAPH = {
    "promote": ["evaluate"],
    "synthesize": [],
    "label": ["synthesize", "judge"],
    "judge": [],
    "train": ["label"],
    "evaluate": ["train", "label", "impressions"],
    "impressions": [],
}


def test_every_arrow_points_down_one_layer_at_a_time() -> None:
    layout = lay_out(GRAPH)
    level = {name: number for number, layer in enumerate(layout.layers) for name in layer}
    assert layout.paths
    for path in layout.paths:
        assert all(level[lower] == level[upper] + 1 for upper, lower in pairwise(path))


def test_an_arrow_that_a_longer_way_implies_is_left_out_and_no_other() -> None:
    drawn = {(path[0], path[-1]) for path in lay_out(GRAPH).paths}
    read = {(source, node) for node, sources in GRAPH.items() for source in sources}
    assert read - drawn == {("label", "evaluate")}


def test_every_node_stands_once() -> None:
    placed = [name for layer in lay_out(GRAPH).layers for name in layer]
    assert sorted(name for name in placed if name in GRAPH) == sorted(GRAPH)


def test_two_chains_side_by_side_do_not_cross() -> None:
    layers = lay_out({"a": [], "b": [], "under_b": ["b"], "under_a": ["a"]}).layers
    assert layers[0].index("a") == layers[1].index("under_a")
