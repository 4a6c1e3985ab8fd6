"""The map as vectors."""

from __future__ import annotations

from typing import Any

from .axes import aligned, axes_of, few

__all__ = ["lane_graph", "map_polylines"]


def map_polylines(params: Any) -> str:
    """[polyline, step, column]: a row per line. Wants `columns`, `elements`, `layers` and `counts`."""
    step = f"[{' '.join(few(params.columns, 2))}]"
    nothing = "0".center(len(step))
    rows = [
        ["", "step 0", "step 1", "...", "step P-1", "mask", "type"],
        ["line 0", step, step, "...", step, "1 1 .. 1", "2"],
        ["line 1", step, nothing, "...", nothing, "1 0 .. 0", "0"],
        ["...", "", "", "", "", "", ""],
    ]
    first = {
        "points": ["A step is a point *, and its previous point p the one before it:", "", "  *p --- *p --- *p --- *"],
        "vectors": ["A step leads from its previous point p to its point *:", "", "  p ---> *p ---> *p ---> *"],
    }[params.elements]
    numbers = [["Types:", f"{number}", name] for number, name in enumerate(params.layers)]
    numbers[1:] = [["", *rest] for _, *rest in numbers[1:]]
    blocks = [] if params.counts is None else [f"Rows of each layer: {', '.join(map(str, params.counts))}."]
    return "\n".join([*aligned(rows), "", *first, "", *aligned(numbers), *blocks, "", *axes_of(params)])


def lane_graph(params: Any) -> str:
    """Nodes and edges of two lanes beside each other. Wants `frame`."""
    return "\n".join(
        [
            "Two lanes, driven to the right; a node . is a step of a centreline:",
            "",
            "  |--.0-->--.1-->--.2-->|",
            "  |--.3-->--.4-->--.5-->|--.6-->--.7-->",
            "",
            "suc_0: 0 1, 1 2, 3 4, 4 5, 5 6, 6 7   pre_0: 1 0, 2 1, 4 3, 5 4, 6 5, 7 6",
            "suc_1: 0 2, 3 5, 4 6, 5 7             pre_1: 2 0, 5 3, 6 4, 7 5",
            "left: 3 0, 4 1, 5 2                   right: 0 3, 1 4, 2 5",
            "",
            "tensor[0, edge] and tensor[1, edge] are numbers of nodes: rows of lane_ctrs.",
            "",
            *axes_of(params),
        ]
    )
