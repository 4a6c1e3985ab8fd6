"""The tensors of a forecasting scenario, 50 steps of history and 60 to come of 60 agents, against a loop over agents.

The loop is what HiVT's and QCNet's preparation does, agent by agent, with numpy instead of pandas, which takes longer.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from harness import Result, compare, ms, ratio
from numpy.typing import NDArray

from perceptum.builders import InputBuilder
from perceptum.datasets import open_log

__all__ = ["run"]

NAMES = ["agent_history", "agent_mask", "gt_trajectory", "gt_trajectory_mask"]
AGENTS, PAST, STEPS, NOW = 60, 50, 110, 49
LOOP = "a loop over agents"
Columns = dict[str, NDArray[Any]]


def run(rounds: int = 40) -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _make_scenario(folder / "scenario_made.parquet")
        params: dict[str, Any] = {
            "agents": {
                "num_steps": PAST,
                "classes": ["vehicle"],
                "include_ego": "first",
                "max_agents": AGENTS + 1,
                "radius": None,
            },
            "agent_history": {"columns": ["x", "y", "yaw", "vx", "vy"]},
        }
        builder = InputBuilder(NAMES, params=params, training=True)
        log = open_log(folder)
        columns = _read(folder / "scenario_made.parquet")
        _check_same(builder.build(log[NOW]), _loop(columns))
        at_hand: dict[str, Any] = {"labels at hand": lambda: builder.build(log[NOW]), LOOP: partial(_loop, columns)}
        from_file: dict[str, Any] = {
            "a scenario's file": lambda: builder.build(open_log(folder)[NOW]),
            LOOP: lambda: _loop(_read(folder / "scenario_made.parquet")),
        }
        found = compare(rounds, at_hand), compare(rounds, from_file)
    what = f"{AGENTS} agents, {PAST} steps of history and {STEPS - PAST} to come"
    return [
        _line(f"{what}, labels at hand", found[0], "labels at hand"),
        _line(f"{what}, a scenario's file", found[1], "a scenario's file"),
    ]


def _line(what: str, times: dict[str, list[float]], ours: str) -> Result:
    """No figure is wanted; the loop is there to compare with."""
    text = f"{ratio(times, LOOP, ours):.2f} times as fast"
    return Result(what, ms(times[ours]), f"{LOOP} {ms(times[LOOP])}", text, "-", True)


def _make_scenario(path: Path) -> None:
    """Agents that come and go, and drive on circles."""
    import pyarrow as pa
    from pyarrow import parquet

    rng = np.random.default_rng(5)
    tracks = []
    for number in range(AGENTS + 1):
        first, last = (0, STEPS) if number == 0 else np.sort(rng.integers(0, STEPS, 2))
        # seen now, so that both count the same agents
        step = np.arange(min(first, NOW), max(last, NOW + 1))
        yaw = rng.uniform(-3, 3) + 0.02 * step
        speed = rng.uniform(0, 15)
        place = rng.uniform(-60, 60, 2) + np.array([2000, 5000])
        tracks.append(
            {
                "track_id": np.full(len(step), "AV" if number == 0 else f"{139000 + number}"),
                "timestep": step,
                "position_x": place[0] + speed / 0.2 * np.sin(yaw),
                "position_y": place[1] - speed / 0.2 * np.cos(yaw),
                "heading": yaw,
                "velocity_x": speed * np.cos(yaw),
                "velocity_y": speed * np.sin(yaw),
            }
        )
    columns = {name: np.concatenate([track[name] for track in tracks]) for name in tracks[0]}
    rows = len(columns["timestep"])
    columns |= {"object_type": np.full(rows, "vehicle"), "object_category": np.full(rows, 1)}
    columns |= {"scenario_id": np.full(rows, "made"), "focal_track_id": np.full(rows, "139001")}
    columns |= {"start_timestamp": np.zeros(rows), "num_timestamps": np.full(rows, STEPS)}
    columns |= {"observed": columns["timestep"] < PAST}
    parquet.write_table(pa.table(columns), path)


def _read(path: Path) -> Columns:
    from pyarrow import parquet

    table = parquet.read_table(path)
    return {name: table.column(name).to_numpy() for name in table.column_names}


def _loop(columns: Columns) -> dict[str, NDArray[Any]]:
    """Returns (A, 110, ...) of all agents that are seen now, the AV first, in the AV's axes now."""
    tracks, steps = columns["track_id"], columns["timestep"]
    names = np.unique(tracks[steps == NOW]).tolist()
    names.insert(0, names.pop(names.index("AV")))
    ego = int(np.flatnonzero((tracks == "AV") & (steps == NOW))[0])
    origin = np.array([columns["position_x"][ego], columns["position_y"][ego]])
    theta = columns["heading"][ego]
    rotate = np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])
    place, velocity = np.zeros((len(names), STEPS, 2)), np.zeros((len(names), STEPS, 2))
    yaw, mask = np.zeros((len(names), STEPS)), np.zeros((len(names), STEPS), np.uint8)
    for agent, name in enumerate(names):
        rows = np.flatnonzero(tracks == name)
        own = steps[rows]
        mask[agent, own] = 1
        xy = np.stack([columns["position_x"][rows], columns["position_y"][rows]], axis=1)
        place[agent, own] = (xy - origin) @ rotate
        v = np.stack([columns["velocity_x"][rows], columns["velocity_y"][rows]], axis=1)
        velocity[agent, own] = v @ rotate
        yaw[agent, own] = (columns["heading"][rows] - theta + np.pi) % (2 * np.pi) - np.pi
    history = np.concatenate([place, yaw[..., None], velocity], axis=-1)[:, :PAST].astype(np.float32)
    future = place[:, PAST:].astype(np.float32)
    return {"agent_history": history, "agent_mask": mask[:, :PAST], "gt_trajectory": future}


def _check_same(ours: Any, theirs: dict[str, NDArray[Any]]) -> None:
    """The loop has agents in the order of their names, we have them by distance."""
    place = theirs["agent_history"][:, -1, :2]
    order = np.append(0, 1 + np.argsort(np.hypot(*place[1:].T), kind="stable"))
    for name, array in theirs.items():
        own = ours[name][..., :3] if name == "agent_history" else ours[name]
        array = array[order][..., :3] if name == "agent_history" else array[order]
        assert np.abs(own.astype(np.float64) - array).max() < 1e-3, f"{name}: not the same"
