"""A signal: what a vehicle reports of itself over time, such as its CAN bus or an inertial unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from .arrays import Matrix, Times
from .errors import BrokenRecord, LogError
from .longest_rise import kept_of

__all__ = ["Measured", "Moment", "Signal"]

Number = TypeVar("Number", bound=np.generic)

Measured = Literal["velocity", "acceleration", "specific_force", "angular_rate", "steering"]
"""What columns of signals may be, so that what is made of them need not know the dataset's names.

velocity: over ground, m/s; acceleration: its derivative, m/s2; specific_force: what an accelerometer measures, m/s2,
which of a vehicle that stands is 9.8 upwards; angular_rate: rad/s; each (n, 3) in the axes of the place where it is
measured. steering: (n,) the angle of the steering wheel, rad, above 0 to the left.
"""

Moment = Literal["interpolated", "before", "after"]
"""interpolated: between the messages around a time; before: the last at or before it; after: the first after it."""


@dataclass(frozen=True, eq=False)
class Signal:
    """The messages of one kind over a log; `len(signal)` is n. Times and columns are read-only."""

    name: str
    times_ns: Times
    """(n,) int64, strictly increasing."""
    columns: Mapping[str, NDArray[np.float64]]
    """Name, as the dataset has it, -> (n,) or (n, k) float64, finite."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Column -> its unit, in words."""
    frame: str = ""
    """The axes of its vectors, in words."""
    measures: Mapping[Measured, str] = field(default_factory=dict)
    """What is measured -> the column that has it."""
    ego_from_sensor: Matrix | None = None
    """(4, 4) float64: where, and in which axes, vectors are measured; None: not known, or there are none."""
    broken: tuple[str, ...] = ()
    """A line for each message, or column, that was left out, and why."""
    source: str = ""
    """Where it lies, for messages."""

    def __post_init__(self) -> None:
        where = self.source or self.name
        times = _read_only(self.times_ns)
        if times.dtype != np.int64 or times.ndim != 1:
            raise BrokenRecord(f"{where}: times_ns is {times.dtype} {times.shape}, wanted (n,) int64")
        if (times[1:] <= times[:-1]).any():
            at = int(np.argmax(times[1:] <= times[:-1]))
            raise BrokenRecord(f"{where}: its times must increase: {times[at]} ns is followed by {times[at + 1]} ns")
        columns = {str(name): _read_only(column) for name, column in self.columns.items()}
        for name, column in columns.items():
            if column.dtype != np.float64 or column.ndim not in (1, 2) or len(column) != len(times):
                wanted = f"wanted ({len(times)},) or ({len(times)}, k) float64"
                raise BrokenRecord(f"{where}: column {name} is {column.dtype} {column.shape}, {wanted}")
            if not np.isfinite(column).all():
                raise BrokenRecord(f"{where}: column {name} has numbers that are not finite; see Signal.leaving_gaps")
        object.__setattr__(self, "times_ns", times)
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "units", dict(self.units))
        object.__setattr__(self, "measures", dict(self.measures))
        self._check_measures(where)

    def _check_measures(self, where: str) -> None:
        for measured, name in self.measures.items():
            if measured not in get_args(Measured):
                raise BrokenRecord(f"{where}: measures {measured!r}, wanted one of {', '.join(get_args(Measured))}")
            wanted = (len(self),) if measured == "steering" else (len(self), 3)
            if name not in self.columns or self.columns[name].shape != wanted:
                has = ", ".join(self.columns) or "none"
                raise BrokenRecord(f"{where}: {measured} is its column '{name}' {wanted}; the columns are {has}")
            if measured != "steering" and self.ego_from_sensor is None:
                raise BrokenRecord(f"{where}: {measured} has three axes, so ego_from_sensor must say which")

    @classmethod
    def leaving_gaps(
        cls,
        name: str,
        times_ns: Times,
        columns: Mapping[str, NDArray[np.float64]],
        *,
        source: str,
        broken: Iterable[str] = (),
        units: Mapping[str, str] | None = None,
        frame: str = "",
        measures: Mapping[Measured, str] | None = None,
        ego_from_sensor: Matrix | None = None,
    ) -> Signal:
        """Returns the signal of those messages that can be used; each of the others is left out, with a line.

        broken: lines of those that could not be read at all. Left out are messages with a number that is not finite,
        and those whose time is repeated or out of order; of equal times the first is kept. A column that is finite in
        no message is left out itself. Raises BrokenRecord where no message can be used, or there is none.
        """
        lines = list(broken)
        known: dict[str, NDArray[np.float64]] = {}
        finite = np.ones(len(times_ns), dtype=np.bool_)
        for column, values in columns.items():
            ok = np.asarray(np.isfinite(values).all(axis=tuple(range(1, values.ndim))))
            if len(ok) and not ok.any():
                lines.append(f"{source}: column {column} is not finite in any of the {len(ok)} messages")
                continue
            known[column], finite = values, finite & ok
        for row in np.flatnonzero(~finite).tolist():
            bad = [column for column, values in known.items() if not np.isfinite(values[row]).all()]
            lines.append(f"{source}: message {row} at {times_ns[row]} ns has a {bad[0]} that is not finite")
        good = np.flatnonzero(finite)
        kept = good[kept_of(times_ns[good])] if len(good) else good
        lines += [
            f"{source}: the time of message {row}, {times_ns[row]} ns, is repeated or out of order"
            for row in np.setdiff1d(good, kept).tolist()
        ]
        if not len(kept):
            raise BrokenRecord(lines[0] if lines else f"{source}: has no messages")
        return cls(
            name=name,
            times_ns=times_ns[kept],
            columns={column: values[kept] for column, values in known.items()},
            units={column: unit for column, unit in (units or {}).items() if column in known},
            frame=frame,
            measures={measured: column for measured, column in (measures or {}).items() if column in known},
            ego_from_sensor=ego_from_sensor,
            broken=tuple(lines),
            source=source,
        )

    def __len__(self) -> int:
        return len(self.times_ns)

    def __repr__(self) -> str:
        span = f" from {self.times_ns[0]} to {self.times_ns[-1]} ns" if len(self) else ""
        broken = f", {len(self.broken)} left out" if self.broken else ""
        return f"<Signal {self.name}: {len(self)} messages of {' '.join(self.columns)}{span}{broken}>"

    def between(self, start_ns: int, stop_ns: int) -> Signal:
        """Returns the messages from `start_ns` to `stop_ns`, both included: views, no copies."""
        # numpy compares beyond int64 as floats
        start, stop = (min(max(end_ns, -(2**63)), 2**63 - 1) for end_ns in (start_ns, stop_ns))
        low, high = np.searchsorted(self.times_ns, start), np.searchsorted(self.times_ns, stop, side="right")
        part = slice(int(low), max(int(high), int(low)))
        columns = {name: values[part] for name, values in self.columns.items()}
        return replace(self, times_ns=self.times_ns[part], columns=columns)

    def at(
        self, time_ns: int, column: str, moment: Moment = "interpolated", tolerance_ns: int | None = None
    ) -> NDArray[np.float64] | None:
        """Returns a column's value, () or (k,) float64, at a time; None where no message says it.

        interpolated: linear between the two messages around the time; where only one of them is near enough, that one.
        before, after: that message; after the last message the last one. tolerance_ns: a message further from the time
        than this does not count; None: however far. Raises LogError for a column that is not there.
        """
        if column not in self.columns:
            known = ", ".join(self.columns) or "none"
            raise LogError(f"{self.source or self.name}: no column '{column}'; the columns are {known}")
        times, values = self.times_ns, self.columns[column]
        first_after = int(np.searchsorted(times, time_ns, side="right"))
        before, after = first_after - 1, first_after
        if moment == "after":
            after = min(after, len(times) - 1)
            return values[after, ...] if after >= 0 and self._near(after, time_ns, tolerance_ns) else None
        has_before = before >= 0 and self._near(before, time_ns, tolerance_ns)
        if moment == "before":
            return values[before, ...] if has_before else None
        has_after = after < len(times) and self._near(after, time_ns, tolerance_ns)
        if has_before and times[before] == time_ns:
            return values[before, ...]
        if has_before and has_after:
            share = (time_ns - int(times[before])) / (int(times[after]) - int(times[before]))
            return np.asarray((1 - share) * values[before] + share * values[after])
        return values[before, ...] if has_before else values[after, ...] if has_after else None

    def _near(self, row: int, time_ns: int, tolerance_ns: int | None) -> bool:
        # in Python's integers: a difference of int64 may wrap
        return tolerance_ns is None or abs(int(self.times_ns[row]) - time_ns) <= tolerance_ns


def _read_only(array: NDArray[Number]) -> NDArray[Number]:
    view: NDArray[Number] = np.asarray(array).view()
    view.flags.writeable = False
    return view
