"""Places the steps of a run in layers, so that every arrow points down and few cross."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_SWEEPS = 4


@dataclass(frozen=True)
class Layout:
    """Layers of node names from the top; edges as the names that each arrow passes through."""

    layers: list[list[str]]
    paths: list[list[str]]


def lay_out(inputs: Mapping[str, Sequence[str]]) -> Layout:
    """Layers and arrows of a graph without cycles, given each node's inputs.

    Layered by longest path (Sugiyama's first step); an arrow over several layers passes through
    placeholders, which keeps it off the nodes between; then each layer is ordered by the mean
    place of its neighbors. Arrows that a longer way already implies are left out.
    """
    depth = _depths(inputs)
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node, level in depth.items():
        layers[level].append(node)
    paths = []
    for node, sources in _essential(inputs).items():
        for source in sources:
            between = [
                f"{source} > {node} @{level}" for level in range(depth[source] + 1, depth[node])
            ]
            for level, name in enumerate(between, start=depth[source] + 1):
                layers[level].append(name)
            paths.append([source, *between, node])
    return Layout(_ordered(layers, paths), paths)


def _depths(inputs: Mapping[str, Sequence[str]]) -> dict[str, int]:
    depth: dict[str, int] = {}

    def visit(node: str) -> int:
        if node not in depth:
            depth[node] = 1 + max((visit(source) for source in inputs[node]), default=-1)
        return depth[node]

    for node in inputs:
        visit(node)
    return {node: depth[node] for node in inputs}


def _essential(inputs: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    above: dict[str, set[str]] = {}

    def ancestors(node: str) -> set[str]:
        if node not in above:
            above[node] = set(inputs[node]).union(*map(ancestors, inputs[node]))
        return above[node]

    return {
        node: [
            source
            for source in dict.fromkeys(sources)
            if not any(source in ancestors(other) for other in sources)
        ]
        for node, sources in inputs.items()
    }


def _ordered(layers: list[list[str]], paths: Sequence[Sequence[str]]) -> list[list[str]]:
    neighbors: dict[str, list[str]] = {}
    for path in paths:
        for upper, lower in itertools.pairwise(path):
            neighbors.setdefault(upper, []).append(lower)
            neighbors.setdefault(lower, []).append(upper)
    place = {name: (i + 0.5) / len(layer) for layer in layers for i, name in enumerate(layer)}
    for sweep in range(_SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            near = {
                name: sum(place[other] for other in neighbors.get(name, [name]))
                / len(neighbors.get(name, [name]))
                for name in layer
            }
            layer.sort(key=lambda name: near[name])
            place |= {name: (i + 0.5) / len(layer) for i, name in enumerate(layer)}
    return layers
