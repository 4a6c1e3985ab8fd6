"""Tensors of agents."""

from __future__ import annotations

from typing import Any

from .axes import axes_of, few

__all__ = ["agent_history", "agent_raster", "future_trajectory"]


def agent_history(params: Any) -> str:
    """[agent, step, column], or steps first. Wants `agents`, `columns` and `layout`."""
    last = params.agents.num_steps - 1
    first = f"{last * params.agents.dt:g} s ago" if last else "now"
    axes = "agent, step, column" if params.layout == "ATF" else "step, agent, column"
    return "\n".join(
        [
            f"tensor[{axes}]; columns {' '.join(few(params.columns, 8))}",
            *([f"step 0    {first}"] if last else []),
            f"step {last:<4} now",
            "agent 0   the nearest" if params.agents.include_ego != "first" else "agent 0   the vehicle itself",
            "",
            *axes_of(params),
        ]
    )


def future_trajectory(params: Any) -> str:
    """The same of the steps to come. Wants `agents`, `num_future`, `columns` and `layout`."""
    axes = "agent, step, column" if params.layout == "ATF" else "step, agent, column"
    steps = [f"step {at:<4} in {(at + 1) * params.dt_s:g} s" for at in dict.fromkeys((0, params.num_future - 1))]
    rows = [f"tensor[{axes}]; columns {' '.join(few(params.columns, 8))}", *steps, "the agents of agent_history", ""]
    return "\n".join([*rows, *axes_of(params)])


def agent_raster(params: Any) -> str:
    """[channel, row, column] or as laid out. Wants `tracks`, `ego`, `colours`, `range`, `cell`, `bev_layout`, `flip_x`
    and `flip_y`."""
    axes = ", ".join({"C": "channel", "Y": "y", "X": "x"}[axis] for axis in params.bev_layout)
    last = params.tracks.num_steps - 1
    if params.colours is not None:
        channels = ["channels 0 red, 1 green, 2 blue"]
    else:
        channels = [f"channel {0:<4} the agents now", f"channel {last:<4} the agents at the oldest step"]
        if params.ego:
            channels.append(f"channel {last + 1:<4} the vehicle now, and so on")
    x_min, y_min, x_max, y_max = params.range
    ends = {"X": (x_min, x_max, params.flip_x), "Y": (y_min, y_max, params.flip_y)}
    begins = [f"{n.lower()} begins at {high if flip else low:g} m" for n, (low, high, flip) in ends.items()]
    return "\n".join([f"tensor[{axes}]", *channels, ", ".join(begins), "", *axes_of(params)])
