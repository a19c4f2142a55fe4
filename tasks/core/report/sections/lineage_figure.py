"""The diagram of which output rests on which."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tasks.core.report.figures import figure, text
from tasks.core.report.lineage_layout import Layout, lay_out
from tasks.core.report.markup import Html, element, join
from tasks.core.report.quantities import TIMES, duration, words

_BOX, _GAP, _TALL, _STEP = 172, 16, 46, 78


@dataclass
class _Node:
    """Outputs that are drawn as one box: the same step over the same inputs, such as shards."""

    step: str
    outputs: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        several = f" {TIMES} {len(self.outputs)}" if len(self.outputs) > 1 else ""
        return words(self.step) + several

    @property
    def reused(self) -> bool:
        return all(output["reused"] for output in self.outputs)

    @property
    def below(self) -> str:
        seconds = sum(output["seconds"] for output in self.outputs)
        digest = self.outputs[0]["digest"][:8]
        return f"{'reused' if self.reused else duration(seconds)} · {digest}"


def lineage_figure(steps: Sequence[Mapping[str, Any]]) -> Html:
    """Boxes in layers, inputs above what reads them; outside inputs are left to the table."""
    nodes, inputs = _graph(steps)
    layout = lay_out(inputs)
    center, across = _places(layout, nodes)
    spoken = (
        f"{node.name} reads "
        + (", ".join(nodes[source].name for source in inputs[key]) or "outside inputs only")
        for key, node in nodes.items()
    )
    drawing = figure(
        "lineage-figure",
        "Steps of the run and what each reads",
        "; ".join(spoken),
        (across + 4, (len(layout.layers) - 1) * _STEP + _TALL + 4),
        *(
            element("path", d=_path([center[name] for name in path]), class_="arrow")
            for path in layout.paths
        ),
        *(_box(node, center[key]) for key, node in nodes.items()),
    )
    # At its natural size whatever the page's: the frame around it scrolls on a narrow screen.
    return element("div", drawing, style=f"width:{1.15 * across:.0f}px")


def _graph(steps: Sequence[Mapping[str, Any]]) -> tuple[dict[str, _Node], dict[str, list[str]]]:
    """Nodes by key, and the keys of each node's inputs."""
    made = {step["digest"] for step in steps}
    nodes: dict[str, _Node] = {}
    key_of, sources = {}, {}
    for step in steps:
        known = [digest for digest in step["inputs"] if digest in made]
        key = " ".join((step["step"], *sorted(known)))
        key_of[step["digest"]] = key
        nodes.setdefault(key, _Node(step["step"])).outputs.append(step)
        sources[key] = known
    inputs = {
        key: list(dict.fromkeys(key_of[digest] for digest in known))
        for key, known in sources.items()
    }
    return nodes, inputs


def _places(
    layout: Layout, nodes: Mapping[str, _Node]
) -> tuple[dict[str, tuple[float, float]], int]:
    """The center of every box and placeholder in pixels, and the width of the whole."""
    width = {
        name: _BOX + _GAP if name in nodes else 2 * _GAP
        for layer in layout.layers
        for name in layer
    }
    across = max(sum(width[name] for name in layer) for layer in layout.layers)
    center = {}
    for level, layer in enumerate(layout.layers):
        left = (across - sum(width[name] for name in layer)) / 2
        for name in layer:
            center[name] = (left + width[name] / 2, level * _STEP + _TALL / 2 + 2)
            left += width[name]
    return center, across


def _path(points: Sequence[tuple[float, float]]) -> str:
    """A curve from the bottom of the first box, past those between, to the top of the last."""
    half = _TALL / 2
    drawn = f"M{points[0][0]:.1f} {points[0][1] + half:.1f}"
    for (x1, y1), (x2, y2) in pairwise(points):
        start, stop = y1 + half, y2 - half
        middle = (start + stop) / 2
        drawn += f"L{x1:.1f} {start:.1f}C{x1:.1f} {middle:.1f} {x2:.1f} {middle:.1f} "
        drawn += f"{x2:.1f} {stop:.1f}"
    x, y = points[-1][0], points[-1][1] - half
    return f"{drawn}M{x - 4:.1f} {y - 6:.1f}L{x:.1f} {y:.1f}L{x + 4:.1f} {y - 6:.1f}"


def _box(node: _Node, center: tuple[float, float]) -> Html:
    x, y = center
    corner = {"x": x - _BOX / 2, "y": y - _TALL / 2}
    frame = element(
        "rect",
        element("title", " ".join((node.step, *(out["digest"] for out in node.outputs)))),
        **corner,
        width=_BOX,
        height=_TALL,
        rx=6,
        class_="node reused" if node.reused else "node",
    )
    return join(
        frame,
        text(x, y - 3, node.name, "node-name", "middle"),
        text(x, y + 14, node.below, "tick", "middle"),
    )
