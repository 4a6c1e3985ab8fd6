"""The radar detections of a frame: cycles in one frame of reference. Shared by every feature with the same cloud."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.radar import BLOCKS, CODES_OF, STATES, RadarCloudParams, RadarColumn
from perceptum.inputs import BrokenRecord, Frame, MissingRecord, RadarSweep
from perceptum.plural import counted

from ..cells import PointStage
from ..kernels.radar import RAW, place
from ..reference import RadarReference, Reference
from ..sample import Sample
from ..scratch import Scratch
from ..sensors import known_sensors, report_no_record, report_one_record
from ..stage import Stages
from .detections import Detections
from .known import SHOWN, VELOCITIES, Known, known_of
from .placing import place_cycles

__all__ = ["RadarCloud"]

_log = logging.getLogger(__name__)

_STATES = ("dyn_prop", "ambig_state", "invalid_state")
_CODES = max(map(len, STATES.values()))
_WIDTHS = np.array(list(BLOCKS.values()), np.int64)
_ROW = {name: k for k, name in enumerate(RAW)}


@dataclass(frozen=True, eq=False)
class _Cycle:
    record: RadarSweep
    rank: int
    """How many cycles of its radar are newer."""
    lag_ns: int


class RadarCloud(PointStage):
    """Columns of all detections that are kept, newest cycle first, in the order of the record."""

    def __init__(self, params: RadarCloudParams, stages: Stages) -> None:
        super().__init__()
        self.title = f"radar cloud ({counted(params.num_sweeps, 'cycle')}, {params.frame} frame)"
        self.params = params
        self._stages = stages
        self._reference = _reference(params, stages)
        self.needs = (self._reference,)
        self._points = Detections()
        self.valid: NDArray[np.uint8] = np.zeros(0, np.uint8)
        """(K,) 1 for each radar of which the frame has a cycle."""
        self._wanted: set[str] = set()
        self._flags = np.zeros(len(SHOWN), np.bool_)
        self._taken: tuple[str, ...] = ()
        self._known: dict[tuple[bytes, bool, bool], Known] = {}
        self._raw = Scratch(np.float64, rows=len(RAW))
        kept = params.state_filter().looked_at()
        self._states = [name for name in _STATES if name in kept]
        self._looked_at = np.array([name in kept for name in _STATES])
        self._keep = np.array([[code in kept.get(name, ()) for code in range(_CODES)] for name in _STATES])
        spans = [span or (0.0, 1.0) for span in (params.rcs_range, params.velocity_range)]
        self._ranges = np.array([(low, high - low) for low, high in spans], np.float64)

    @property
    def nbytes(self) -> int:
        return self._raw.array.nbytes + self._points.nbytes

    @property
    def points(self) -> Detections:
        """The columns of what is kept of the frame."""
        return self._points

    def want(self, columns: Iterable[RadarColumn] = ()) -> None:
        """Says at planning time that the detections are needed, and which columns beside x, y, z."""
        self._wanted.update(("x", "y", "z", *columns))
        self._flags[:] = [name in self._wanted for name in SHOWN]
        self._known.clear()
        taken = {"x", "y", "z", *self._states, *(CODES_OF.get(name, name) for name in self._wanted)}
        if self.params.advance_by_velocity or self._wanted.intersection(VELOCITIES):
            taken.update(VELOCITIES)
        if self.params.nonfinite_features == "drop":
            taken.update(("rcs", *VELOCITIES))
        self._taken = tuple(name for name in RAW if name in taken)

    def run(self, sample: Sample) -> None:
        cycles = self._cycles(sample.frame)
        if self._wanted:
            self._load(sample.frame, [cycle for cycle in cycles if len(cycle.record)])

    def _cycles(self, frame: Frame) -> list[_Cycle]:
        """Returns the cycles, newest first; of equal times in the order of the radars."""
        p = self.params
        there = known_sensors(frame, "radar", p.sensors, p.required, self._stages)
        names = there if p.sensors is None else p.sensors
        report_one_record(frame, "radar", p.num_sweeps, self._stages)
        found: list[_Cycle] = []
        picked: dict[str, Any] = {"step": p.sweep_step, "keyframes": p.sweeps == "keyframes", "newest": p.newest}
        valid = np.zeros(len(names), np.uint8)
        for k, name in enumerate(names):
            if name not in there:
                continue
            own = frame.ranked_radar_sweeps(p.num_sweeps, name, **picked)
            valid[k] = len(own) > 0
            from_ns = own[0][1].time_ns if own and p.lag_from == "newest_cycle" else frame.time_ns
            found += [_Cycle(record, rank, from_ns - record.time_ns) for rank, record in own]
        self.valid = valid
        if not found:
            report_no_record(frame, "radar", names, p.required, self.title, self._stages)
        return sorted(found, key=lambda cycle: -cycle.record.time_ns)

    def _load(self, frame: Frame, cycles: Sequence[_Cycle]) -> None:
        p, records = self.params, [cycle.record for cycle in cycles]
        sizes = [len(record) for record in records]
        ends = np.cumsum(sizes, dtype=np.int64)
        raw, has = self._take(records, sum(sizes))
        origins = np.array([record.origin for record in records], np.float64).reshape(-1, 3)
        full = np.array([record.velocity_part == "full" for record in records], np.bool_)
        rays = np.isfinite(origins.sum(axis=1))
        known = [self._look(frame, record, has[k], bool(rays[k]), bool(full[k])) for k, record in enumerate(records)]
        sequential = frame.log.source.sequential
        # of unrelated frames the ego motion is not known, and what follows from it
        lost = [{*one.lacks, *(() if sequential else one.by_motion)} for one in known]
        lacks = np.array([[name in own for name in SHOWN] for own in lost], np.bool_).reshape(-1, len(SHOWN))
        fast = [bool(one.by_motion) and sequential for one in known]
        placed = place_cycles(p, self._reference, frame, records, fast)
        lags_s = np.array([cycle.lag_ns for cycle in cycles], np.int64) * 1e-9
        ranks = np.array([cycle.rank for cycle in cycles], np.int64)
        far = np.inf if p.max_distance is None else p.max_distance
        given: list[Any] = [raw, has, ends, origins, full, *placed, lags_s, ranks, self._looked_at, self._keep]
        given += [float(p.remove_close), float(p.min_distance), float(far), p.nonfinite_features == "drop"]
        given += [p.advance_by_velocity, self._ranges, self._flags, lacks, _WIDTHS, self._points.reserve(sum(sizes))]
        self._points.n, nonfinite, by_state, by_place, wrong = place(*given)
        if wrong >= 0:
            raise self._wrong_code(raw[:, wrong], records[int(np.searchsorted(ends, wrong, side="right"))])
        if self._points.n and self._reference.on_ground:
            x, y, z = self._points.values[:3]
            self._reference.write_above(x, y, z, z)
        self.dropped = {
            "non-finite detections": nonfinite,
            "detections in other states": by_state,
            "detections too near or too far": by_place,
        }

    def _take(self, records: Sequence[RadarSweep], total: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Returns (21, >= total) the columns that may be needed, and (S, 21) which of them each record has."""
        raw, has = self._raw.reserve(total), np.zeros((len(records), len(RAW)), np.bool_)
        begin = 0
        # a long double beyond float64 becomes infinite, and is dropped as such
        with np.errstate(over="ignore", invalid="ignore"):
            for own, record in zip(has, records, strict=True):
                columns, end = vars(record), begin + len(record)
                for name in self._taken:
                    if columns[name] is not None:
                        raw[_ROW[name], begin:end] = columns[name]
                        own[_ROW[name]] = True
                begin = end
        return raw, has

    def _look(self, frame: Frame, record: RadarSweep, has: NDArray[np.bool_], rays: bool, full: bool) -> Known:
        """Returns what can be known of a record; raises MissingRecord for what cannot, or reports it once."""
        key = (has.tobytes(), rays, full)
        if key not in self._known:
            wanted = self._wanted | ({"vx_comp", "vy_comp"} if self.params.advance_by_velocity else set())
            names = [name for name, there in zip(RAW, has.tolist(), strict=True) if there]
            self._known[key] = known_of(names, wanted, rays, full)
        known = self._known[key]
        where = f"{record.source or record.sensor}: radar '{record.sensor}'"
        if unread := [name for name in self._states if not has[_ROW[name]]]:
            self._report_states(where, record.sensor, unread)
        lacks, why = known.lacks, ""
        if known.by_motion and not frame.log.source.sequential:
            lacks += known.by_motion
            why = ", and frames that are unrelated say nothing of the ego motion"
        if lacks and self.params.missing_columns == "error":
            there = " ".join(name for name in RAW if getattr(record, name) is not None)
            raise MissingRecord(
                f"{where} has no {', '.join(lacks)}, which the spec wants; it has {there}{why}; leave out what it does "
                'not have, or take missing_columns "fill"'
            )
        if lacks and self._stages.first_time((RadarCloud, "lacks", record.sensor, lacks)):
            _log.warning(
                '%s has no %s%s: filled with 0 (reported once; the param missing_columns "error" makes it an error)',
                where,
                ", ".join(lacks),
                why,
            )
        along_ray = [name for name in known.along_ray if name not in lacks]
        if along_ray and self._stages.first_time((RadarCloud, "along the ray", record.sensor)):
            _log.warning(
                "%s measures only how fast things come nearer or go away: its %s hold that speed along the ray "
                "(reported once)",
                where,
                ", ".join(along_ray),
            )
        return known

    def _report_states(self, where: str, sensor: str, unread: Sequence[str]) -> None:
        what = f"{where} has no column {', '.join(unread)}, which the filter looks at"
        if self.params.required:
            raise MissingRecord(f'{what}; take filter "none"')
        if self._stages.first_time((RadarCloud, "states", sensor)):
            _log.warning('%s: all is kept (reported once; the param "required" makes it an error)', what)

    def _wrong_code(self, raw: NDArray[np.float64], record: RadarSweep) -> BrokenRecord:
        for block, name in CODES_OF.items():
            code, states = float(raw[_ROW[name]]), STATES[name]
            found = f"{record.source or record.sensor}: a detection has the {name} {code:g}, wanted"
            if getattr(record, name) is None:
                continue
            if name in self._states and code not in states:
                return BrokenRecord(f'{found} 0 to {max(states)}, which the filter looks at; take filter "none"')
            if block in self._wanted and code not in states:
                return BrokenRecord(f"{found} 0 to {max(states)}, for which {block} has columns")
            if name in self._wanted and not code.is_integer():
                return BrokenRecord(f"{found} a whole number")
        raise AssertionError("every code that is looked at is one")


def _reference(params: RadarCloudParams, stages: Stages) -> Reference:
    if params.frame == "radar" and (params.sensors is not None or params.newest != "before"):
        first = None if params.sensors is None else params.sensors[0]
        return stages.share(RadarReference, params.reference(), first, params.newest)
    return stages.share(Reference, params.reference())
