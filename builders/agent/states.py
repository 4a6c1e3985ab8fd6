"""Where agents are at each step, as columns of numbers: in the axes of the tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..reference import Reference
from ..targets.labels import half_open
from .tracks import Tracks

__all__ = ["States"]

Part = tuple[Tracks, NDArray[np.int64]]
"""Tracks, and (agents, steps) their rows, -1 where an agent is not seen."""


class States:
    """Agents at the steps of one or several tracks, one behind the other."""

    def __init__(self, reference: Reference, parts: list[Part], velocity: str) -> None:
        """velocity: as the parameter."""
        self._reference = reference
        self._parts = parts
        self._velocity = velocity
        self.seen: NDArray[np.bool_] = np.concatenate([table >= 0 for _, table in parts], axis=1)
        """(A, T)"""
        self.times_s: NDArray[np.float64] = np.concatenate([tracks.times_s for tracks, _ in parts])
        """(T,) after the reference time."""
        begins = np.cumsum([0, *(tracks.n for tracks, _ in parts)])
        numbered = [table + begin for (_, table), begin in zip(parts, begins.tolist(), strict=False)]
        self._rows: NDArray[np.int64] = np.concatenate(numbered, axis=1)[self.seen]
        """(seen,) of all tracks, one behind the other, the rows that are seen, agent by agent."""
        self._vectors: NDArray[np.float64] | None = None
        self._made: dict[str, NDArray[np.float64]] = {}

    def column(self, name: str) -> NDArray[np.float64]:
        """Returns (A, T) float64, 0 where an agent is not seen."""
        found: NDArray[np.float64]
        match name:
            case "x" | "y" | "z":
                found = self._of("places")[..., "xyz".index(name)]
            case "cos_yaw" | "sin_yaw":
                found = self._of("headings")[..., int(name == "sin_yaw")]
            case "yaw":
                headings = self._of("headings")
                found = half_open(np.arctan2(headings[..., 1], headings[..., 0]))
            case "vx" | "vy":
                found = self._of("velocities")[..., int(name == "vy")]
            case "ax" | "ay":
                found = self._of("accelerations")[..., int(name == "ay")]
            case "yaw_rate":
                found = self._of("yaw_rates")[..., 0]
            case "length" | "width" | "height":
                found = self._of("sizes")[..., ("length", "width", "height").index(name)]
            case "dx" | "dy":
                found = self._of("displacements")[..., int(name == "dy")]
            case "x_from_now" | "y_from_now":
                found = self._of("from_now")[..., int(name == "y_from_now")]
            case "observed":
                found = self.seen.astype(np.float64)
            case "time_lag":
                found = np.where(self.seen, -self.times_s, 0.0)
            case _:
                raise AssertionError(name)
        return found

    def write(self, columns: tuple[str, ...], steps: slice, out: NDArray[Any]) -> None:
        """Writes out (A, T of `steps`, F)."""
        for at, name in enumerate(columns):
            out[..., at] = self.column(name)[:, steps]

    def _of(self, what: str) -> NDArray[np.float64]:
        if what not in self._made:
            self._made[what] = getattr(self, f"_{what}")()
        return self._made[what]

    def _taken(self, of: str) -> NDArray[np.float64]:
        """(seen, 3): what the tracks say of each row that is seen, agent by agent."""
        if of == "size":
            return self._rows_of([tracks.size for tracks, _ in self._parts])
        if self._vectors is None:
            self._vectors = self._rows_of([tracks.vectors for tracks, _ in self._parts])
        return self._vectors[:, ("place", "heading", "velocity").index(of)]

    def _rows_of(self, values: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Returns the rows that are seen, agent by agent, of all tracks."""
        if len(values) == 1:
            return values[0][self._rows]
        return np.concatenate(values)[self._rows]

    def _spread(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(A, T, k) from (seen, k)."""
        out = np.zeros((*self.seen.shape, values.shape[-1]))
        out[self.seen] = values
        return out

    def _places(self) -> NDArray[np.float64]:
        return self._spread(self._reference.places(self._taken("place")))

    def _headings(self) -> NDArray[np.float64]:
        flat = self._reference.directions(self._taken("heading"))[:, :2]
        length = np.hypot(flat[:, 0], flat[:, 1])[:, None]
        return self._spread(np.divide(flat, length, out=np.zeros_like(flat), where=length > 0))

    def _sizes(self) -> NDArray[np.float64]:
        return self._spread(self._taken("size") * self._reference.scale)

    def _velocities(self) -> NDArray[np.float64]:
        if self._velocity == "past":
            return self._change_of(self._of("places")[..., :2])
        given = self._reference.directions(self._taken("velocity"))[:, :2]
        known = np.asarray(np.isfinite(given).all(axis=1))
        velocities = self._spread(np.where(known[:, None], given, 0.0))
        if not known.all():
            unknown = np.zeros(self.seen.shape, np.bool_)
            unknown[self.seen] = ~known
            velocities[unknown] = self._change_of(self._of("places")[..., :2])[unknown]
        return velocities

    def _accelerations(self) -> NDArray[np.float64]:
        return self._change_of(self._of("velocities"))

    def _yaw_rates(self) -> NDArray[np.float64]:
        return self._change_of(self.column("yaw")[..., None], turns=True)

    def _displacements(self) -> NDArray[np.float64]:
        places = self._of("places")[..., :2]
        out = np.zeros_like(places)
        both = self.seen[:, 1:] & self.seen[:, :-1]
        out[:, 1:] = np.where(both[..., None], places[:, 1:] - places[:, :-1], 0.0)
        return out

    def _from_now(self) -> NDArray[np.float64]:
        """From where an agent was seen last at or before now."""
        places, past = self._of("places")[..., :2], self._parts[0][1].shape[1]
        last = _last_seen(self.seen[:, :past])[:, -1]
        agents = np.arange(len(places))
        begin = np.where((last >= 0)[:, None], places[agents, last], 0.0)
        return np.where(self.seen[..., None], places - begin[:, None], 0.0)

    def _change_of(self, values: NDArray[np.float64], turns: bool = False) -> NDArray[np.float64]:
        """Returns (A, T, k), per second: a value less that of the step before at which the agent was seen; at its first
        step the next one's less its own; 0 of an agent seen once. turns: of angles, the shorter way."""
        agents, steps = self.seen.shape
        out = np.zeros_like(values)
        if steps < 2 or not agents:
            return out
        before = np.full((agents, steps), -1)
        before[:, 1:] = _last_seen(self.seen)[:, :-1]
        after = np.full((agents, steps), -1)
        after[:, :-1] = steps - 1 - _last_seen(self.seen[:, ::-1])[:, ::-1][:, 1:]
        after[after == steps] = -1
        own = np.broadcast_to(np.arange(steps), (agents, steps))
        begin = np.where(before >= 0, before, own)
        end = np.where(before >= 0, own, after)
        known = self.seen & (end >= 0)
        step_s = self.times_s[end] - self.times_s[begin]
        known &= step_s > 0
        rows = np.arange(agents)[:, None]
        change = values[rows, end] - values[rows, begin]
        if turns:
            change = np.remainder(change + np.pi, 2 * np.pi) - np.pi
        np.divide(change, step_s[..., None], out=out, where=known[..., None])
        return out


def _last_seen(seen: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Returns (A, T): the last step up to each at which an agent is seen; -1 where there is none."""
    steps = np.where(seen, np.arange(seen.shape[1]), -1)
    return np.asarray(np.maximum.accumulate(steps, axis=1))
