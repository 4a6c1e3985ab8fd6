"""agent_history and gt_trajectory: where agents were, and where they will be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .backdrop import draw_points_behind, points_behind
from .colors import color_of, faded
from .drawing import OnGround
from .ground import Ground
from .kind import Kind, NotDrawn

__all__ = ["AGENT_HISTORY", "GT_TRAJECTORY"]

_AHEAD = "#e4572e"
_EGO = "black"


def _draw_history(ground: Ground, kind: Kind) -> str:
    params = kind.params
    values, seen = _by_agent(kind, "agent_history"), _by_agent(kind, "agent_mask").astype(bool)
    places = _columns(values, params.columns, ("x", "y"))
    if places is None:
        raise NotDrawn(f"its columns, {' '.join(params.columns)}, have no x and y")
    draw_points_behind(ground, kind)
    names = [one.name for one in params.agents.whole_classes()] + ["the vehicle itself"]
    types = kind["agent_type"]
    for number in np.unique(types[types >= 0]):
        own = np.flatnonzero((types == number) & seen.any(axis=1))
        color = _EGO if number == len(names) - 1 else color_of(int(number))
        _draw_past(ground, places[own], seen[own], color)
        last = seen.shape[1] - 1 - np.argmax(seen[own][:, ::-1], axis=1)
        boxes = _boxes(values[own, last], params.columns)
        # some logs say of no agent how large it is
        flat = np.ones(len(own), bool) if boxes is None else (boxes[:, 3:5] == 0).any(axis=1)
        ground.dots(places[own, last][flat], color, 14)
        if boxes is not None:
            ground.boxes(boxes[~flat], color)
        ground.name(f"{names[number]} ({len(own)})", color)
    return f"{np.count_nonzero(seen.any(axis=1))} agents over {seen.shape[1]} steps"


def _draw_past(ground: Ground, places: NDArray[Any], seen: NDArray[np.bool_], color: str) -> None:
    """Draws the way from step to step, the paler the longer ago."""
    steps = seen.shape[1]
    for step in range(1, steps):
        both = seen[:, step - 1] & seen[:, step]
        shade = faded(color, 0.25 + 0.75 * step / max(steps - 1, 1))
        ground.lines(list(places[both, step - 1 : step + 1]), [shade], 1.6)


def _draw_future(ground: Ground, kind: Kind) -> str:
    params = kind.params
    values, seen = _by_agent(kind, "gt_trajectory"), _by_agent(kind, "gt_trajectory_mask").astype(bool)
    history = kind.behind["agent_history"]
    now = _columns(_by_agent(history, "agent_history"), history.params.columns, ("x", "y"))
    seen_now = _by_agent(history, "agent_mask").astype(bool)
    assert now is not None
    places = _columns(values, params.columns, ("x", "y"))
    if places is None:
        moved = _columns(values, params.columns, ("x_from_now", "y_from_now"))
        if moved is None:
            raise NotDrawn(f"its columns, {' '.join(params.columns)}, have neither x y nor x_from_now y_from_now")
        places = now[:, -1:] + moved
    _draw_history(ground, history)
    for step in range(seen.shape[1]):
        before, was = (now[:, -1], seen_now[:, -1]) if step == 0 else (places[:, step - 1], seen[:, step - 1])
        both = was & seen[:, step]
        shade = faded(_AHEAD, 1 - 0.7 * step / seen.shape[1])
        ground.lines(list(np.stack([before[both], places[both, step]], axis=1)), [shade], 1.2)
    ends = seen.shape[1] - 1 - np.argmax(seen[:, ::-1], axis=1)
    some = np.flatnonzero(seen.any(axis=1))
    ground.dots(places[some, ends[some]], _AHEAD, 10)
    ground.name(f"where they will be ({len(some)})", _AHEAD)
    _draw_own_future(ground, kind)
    return f"{len(some)} agents over {seen.shape[1]} steps of {params.dt_s:g} s"


def _draw_own_future(ground: Ground, kind: Kind) -> None:
    known = kind["gt_ego_trajectory_mask"].astype(bool)
    values, names = kind["gt_ego_trajectory"], kind.params.columns
    places = _columns(values, names, ("x", "y"))
    if places is None:
        places = _columns(values, names, ("x_from_now", "y_from_now"))
    if places is not None and known.any():
        ground.lines([np.concatenate([np.zeros((1, 2)), places[known]])], _EGO, 1.5, linestyles=":")
        ground.name("the vehicle itself, to come", _EGO)


def _by_agent(kind: Kind, feature: str) -> NDArray[Any]:
    """Returns agents first, then steps."""
    tensor = kind[feature]
    return tensor if kind.params.layout == "ATF" else np.swapaxes(tensor, 0, 1)


def _columns(values: NDArray[Any], names: Sequence[str], wanted: Sequence[str]) -> NDArray[Any] | None:
    """Returns (..., len(wanted)), None where one is missing."""
    if not set(wanted) <= set(names):
        return None
    return values[..., [list(names).index(name) for name in wanted]]


def _boxes(rows: NDArray[Any], names: Sequence[str]) -> NDArray[Any] | None:
    """Returns (n, 7) boxes of (n, F) rows, None where their columns do not say how large or how turned they are."""
    flat = _columns(rows, names, ("x", "y", "length", "width"))
    yaw = _columns(rows, names, ("yaw",))
    turned = _columns(rows, names, ("cos_yaw", "sin_yaw"))
    if flat is None or (yaw is None and turned is None):
        return None
    boxes = np.zeros((len(rows), 7))
    boxes[:, [0, 1, 3, 4]] = flat
    boxes[:, 6] = yaw[:, 0] if yaw is not None else np.arctan2(turned[:, 1], turned[:, 0])  # type: ignore[index]
    return boxes


def _history_of(params: Any, rows: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """The agents of a trajectory, as they are in the same axes now."""
    import msgspec

    agents = msgspec.to_builtins(params.agents)
    columns = ["x", "y", "cos_yaw", "sin_yaw", "length", "width"]
    return {"agent_history": {"agents": agents, "frame": params.frame, "columns": columns}}


AGENT_HISTORY = OnGround(draw=_draw_history, needs=("agent_history", "agent_mask", "agent_type"), behind=points_behind)
GT_TRAJECTORY = OnGround(
    draw=_draw_future,
    needs=("gt_trajectory", "gt_trajectory_mask", "gt_ego_trajectory", "gt_ego_trajectory_mask"),
    behind=_history_of,
)
