"""Argoverse 2's motion forecasts: one parquet file, the ways in which each scenario's focal track may go.

After av2-api, src/av2/datasets/motion_forecasting/eval/submission.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from perceptum.errors import UsageError
from perceptum.inputs import Frame
from perceptum.output_file import check_ending, whole_file

__all__ = ["Forecast", "write_forecasts"]

_STEPS = 60
"""6 s at 10 Hz, from the step after the reference time."""
_MOST_WAYS = 6

_FIELDS: dict[str, Any] = {
    "scenario_id": pa.string(),
    "track_id": pa.string(),
    "probability": pa.float64(),
    "predicted_trajectory_x": pa.list_(pa.float64()),
    "predicted_trajectory_y": pa.list_(pa.float64()),
}
_SCHEMA = pa.schema(_FIELDS)


@dataclass(frozen=True, eq=False)
class Forecast:
    """The ways in which one track may go, ego frame at the frame's time. Raises UsageError for what cannot be."""

    frame: Frame
    track_id: str
    trajectories: NDArray[Any]
    """(K, 60, 2): x y (m)."""
    probabilities: NDArray[Any]
    """(K,), 0 or more."""

    def __post_init__(self) -> None:
        trajectories, how_sure = (np.asarray(a, np.float64) for a in (self.trajectories, self.probabilities))
        ways = len(how_sure) if how_sure.ndim == 1 else 0
        if ways == 0 or trajectories.shape != (ways, _STEPS, 2):
            raise UsageError(
                f"{self.frame}: track {self.track_id} has trajectories {trajectories.shape} and probabilities "
                f"{how_sure.shape}; wanted (K, {_STEPS}, 2) and (K,)"
            )
        sure = np.isfinite(how_sure).all() and (how_sure >= 0).all() and how_sure.sum() > 0
        if not (np.isfinite(trajectories).all() and sure):
            raise UsageError(
                f"{self.frame}: track {self.track_id} has numbers that are not finite, or probabilities "
                "below 0 or all 0"
            )
        object.__setattr__(self, "trajectories", trajectories)
        object.__setattr__(self, "probabilities", how_sure)


def write_forecasts(out: str | Path, forecasts: Iterable[Forecast]) -> int:
    """Writes the file, in the city frame, and returns how many scenarios it has.

    Of each track the six surest ways are kept, and their probabilities are divided by their sum, which must be 1. A
    scenario's tracks share their probabilities in that format, so that each may come once. Raises UsageError for a
    frame of another dataset, or a scenario that comes twice.
    """
    path = Path(out)
    check_ending(path, (".parquet",), "Argoverse 2's forecasts are a .parquet file")
    tables, seen = [_SCHEMA.empty_table()], set()
    for one in forecasts:
        source = one.frame.log.source
        if source.dataset not in ("argoverse2_forecasting", "store"):
            raise UsageError(f"{one.frame} is of {source.dataset}, and these forecasts are of Argoverse 2's scenarios")
        if source.name in seen:
            raise UsageError(f"{one.frame}: scenario {source.name} has forecasts already; a scenario has one track")
        seen.add(source.name)
        tables.append(_table(one, source.name))
    with whole_file(path) as beside:
        parquet.write_table(pa.concat_tables(tables), beside)
    return len(seen)


def _table(one: Forecast, scenario: str) -> Any:
    surest = np.argsort(-one.probabilities, kind="stable")[:_MOST_WAYS]
    how_sure = one.probabilities[surest] / one.probabilities[surest].sum()
    world_from_ego = one.frame.world_from_ego
    in_ego = np.concatenate([one.trajectories[surest], np.zeros((len(surest), _STEPS, 1))], axis=2)
    in_city = in_ego @ world_from_ego[:3, :3].T + world_from_ego[:3, 3]
    columns: list[Any] = [[scenario] * len(surest), [one.track_id] * len(surest), how_sure.tolist()]
    return pa.table([*columns, in_city[:, :, 0].tolist(), in_city[:, :, 1].tolist()], schema=_SCHEMA)
