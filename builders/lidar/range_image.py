"""lidar_range_image, its mask and its index."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features import ReferenceParams
from perceptum.features.lidar import RangeImageParams
from perceptum.inputs import BrokenRecord, Frame, LidarSweep

from ..augment import Drawn
from ..augment.chances import NONE, Chances, in_order
from ..columns import HALVES, INTENSITY_MODES, STAY, Move, Recorded, Rules, Work
from ..kernels.chosen import mark_dropped
from ..kernels.load import INTENSITY, RAW, RING, SHIFT
from ..kernels.range_image import cells as project
from ..kernels.range_image import channels, points, shown
from ..kernels.record import ABSENT, BLOCK, FLOAT32, KINDS
from ..reference import Reference
from ..sample import Sample
from ..scratch import Scratch, address
from ..sensors import report_no_record
from ..split import is_much
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .cloud import DROPPED
from .missing_columns import check_columns
from .placing import Placing, check_times

__all__ = ["RangeImage"]

_NO_TABLE = np.zeros(0, np.int32)
_ABSENT = np.array([0, 0, ABSENT])
_AT_THE_ORIGIN = np.zeros(3)
_AS_IT_IS = np.zeros(0, np.float32)
_QUANTITIES = ("x", "y", "z", "intensity")
"""The channels that are shown as they were recorded, or moved."""
_MEASURED = {
    "azimuth": channels.AZIMUTH,
    "inclination": channels.INCLINATION,
    "height": channels.HEIGHT,
    "time_lag": channels.TIME_LAG,
    "elongation": channels.ELONGATION,
}
"""The channels that are worked out from the record."""
_TAKEN = {"intensity": "intensity", "elongation": "elongation", "time_lag": "offset_ns"}
"""The channels that need a column which a sweep may lack."""
_WITHOUT = {"offset_ns": "time_lag is the sweep's", "image_column": "its columns are by azimuth"}
_FEW = 4
"""Cells are cleared one by one where less than a quarter of them were written."""


class RangeImage(Filler):
    def __init__(self, params: RangeImageParams, stages: Stages) -> None:
        super().__init__()
        self.title = f"range image ({params.height} x {params.width}, {params.rows} rows)"
        self.params: RangeImageParams = params
        self._stages = stages
        self._size = np.array([params.height, params.width, params.padded_width()])
        self._view = _view(params)
        self._norms = [_norm(params, k) for k in range(len(params.channels))]
        self._measures = not _MEASURED.keys().isdisjoint(params.channels)
        self._padded = params.padded_width() > params.width
        cells = params.height * params.padded_width()
        self._nearest = np.empty(cells + 1, np.uint64)
        self._cells, self._numbers = np.empty((2, cells + 1), np.int32)
        self._seen = self._windows = 0
        """How many cells have a point: they are listed, with the number of their nearest; behind them, the windows."""
        self._points, self._finite = Scratch(np.float32, rows=4), Scratch(np.int32)
        self._counted = 0
        """For how many points `_finite` says which of the cloud's they are: 0 where that is their number."""
        self._drawn = stages.share(Drawn) if stages.augment is not None and stages.augment.picks_points else None
        self._marks = Scratch(np.uint8)
        self._lying = np.zeros((4, 2), np.int64)
        """Where x, y, z and intensity lie, float32: address and stride in bytes, in our block or the record."""
        self._places, self._elongations = np.zeros((2, 6, 3), np.int64)
        """Where the record's columns lie; and the same with elongation in the place of intensity."""
        self._origin, self._lag_ns = np.zeros(3), 0
        self._record: weakref.ref[LidarSweep] | None = None
        """Weak, as in `Columns`."""
        self._copies: list[NDArray[Any]] = []
        """The columns that kernels could not read where they were recorded: `_places` is where these lie."""
        self._full_scale = 1.0
        self._work = Work()
        self._near, self._squares = np.empty((3, BLOCK), np.float32), np.empty(BLOCK)
        self._own_cells, self._ranges = np.empty(BLOCK, np.int32), np.empty(BLOCK, np.float32)
        reference = stages.share(Reference, ReferenceParams())
        self.needs = (reference,)
        self._placing = Placing(reference, per_point=True)

    @property
    def nbytes(self) -> int:
        return self._points.array.nbytes + self._nearest.nbytes + 2 * self._cells.nbytes + self._finite.array.nbytes

    def run(self, sample: Sample) -> None:
        frame, p = sample.frame, self.params
        sweep = self._sweep(frame)
        self._nearest.fill(2**64 - 1)
        self._counted, self._record = 0, None
        chances = None if self._drawn is None else self._drawn.chances
        nonfinite, by_draw = (0, 0) if sweep is None else self._project(frame, sweep, chances or NONE)
        if p.gaps != "fill":
            shown.take_next_column(self._size, p.goes_all_round(), self._nearest)
        self._seen, self._windows = shown.list_cells(self._nearest, self._cells, self._numbers), 0
        if p.gaps == "windows":
            windows = self._cells[self._seen :]
            self._windows = shown.list_windows(self._size, p.goes_all_round(), self._nearest, windows)
        self.dropped = {"non-finite points": nonfinite}
        if chances is not None and chances.below:
            self.dropped[DROPPED] = by_draw

    def _sweep(self, frame: Frame) -> LidarSweep | None:
        name = self.params.sensor or next(iter(frame.log.source.lidars), None)
        found = [] if name is None else frame.sweeps(1, name)
        if not found:
            names = () if name is None else (name,)
            report_no_record(frame, "lidar", names, self.params.required, self.title, self._stages)
        return found[0] if found else None

    def _project(self, frame: Frame, sweep: LidarSweep, chances: Chances) -> tuple[int, int]:
        """Returns how many points are not finite, and how many a draw has dropped."""
        p, work = self.params, self._work
        own_columns = ["image_column"] if p.column_of == "record" else []
        taken = [*(_TAKEN[name] for name in p.channels if name in _TAKEN), *own_columns]
        check_columns(sweep, taken, p.missing_columns, self._stages, _WITHOUT)
        table, lag_wanted = self._row_of_ring(sweep), "time_lag" in p.channels
        moved_each = p.xyz_frame == "ego" and self._placing.per_point(sweep)
        recorded = Recorded(sweep, with_times=lag_wanted or moved_each)
        move = self._move(frame, recorded)
        image_column, returns = self._note(frame, recorded)
        n, xyz, by_draw = len(sweep), work.xyz(recorded), 0
        key, below = chances.drop_of(sweep)
        if below:
            marks = self._marks.reserve(n)[:n]
            marks[:] = 0 if returns[2] == ABSENT or sweep.return_index is None else sweep.return_index != 0
            by_draw = mark_dropped(n, key, below, marks)
            # to the kernel they are returns that are not shown
            returns = np.array([address(marks), 1, KINDS[marks.dtype]])
        given: list[Any] = [self._places, n, self._origin, self._size, self._view]
        given += [p.outside_fov == "clamp", p.azimuth_seam == "clamp", table, image_column, returns]
        given += [HALVES, xyz, work.values[1], self._near, self._squares, self._own_cells, self._ranges, self._nearest]
        nonfinite = project.project(*given)
        if nonfinite or chances.picks:
            self._counted = n
            ordered = chances.order([n]) if chances.picks else in_order([n])
            counting: list[Any] = [*ordered, key, below, HALVES, xyz, work.rows, self._finite.reserve(n)]
            nonfinite = points.count_finite(self._places, *counting)
        lies = [recorded.lies(k) and (k == 3 or move.how == STAY.how) for k in range(4)]
        if all(lies):
            self._lying[:] = self._places[:4, :2]
        else:
            block = self._points.reserve(n)
            if sweep.intensity is None:
                block[3] = 0
            moving = (move.how, move.knots, move.first_ns, move.step_ns)
            points.bring(self._places, n, *moving, HALVES, xyz, work.times, block)
            self._lying[:, 0] = address(block) + block.strides[0] * np.arange(4)
            self._lying[:, 1] = 4
        return nonfinite, by_draw

    def _note(self, frame: Frame, recorded: Recorded) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Notes what the record's columns are and where they lie; returns where the columns of the lidar's own image
        and the numbers of the returns do."""
        p, sweep = self.params, recorded.sweep
        image_column = returns = _ABSENT
        self._record, self._full_scale = weakref.ref(sweep), sweep.intensity_scale
        self._origin[:] = sweep.origin
        self._lag_ns = frame.time_ns - sweep.time_ns
        self._places[:] = recorded.places
        # the usual channels are written from what lies in `_lying`
        self._copies = recorded.copies if self._measures else []
        with_returns = p.returns == "first" and sweep.return_index is not None
        if with_returns or "elongation" in p.channels:
            # the columns that few ask for, in the places of intensity and ring
            others = Recorded(replace(sweep, intensity=sweep.elongation, ring=sweep.return_index), with_times=False)
            self._elongations[:] = others.places
            self._copies += others.copies
            returns = self._elongations[RING].copy() if with_returns else returns
        if p.column_of == "record" and sweep.image_column is not None:
            last = sweep.image_column.max(initial=0)
            if last >= p.width:
                raise BrokenRecord(
                    f"{sweep.source or sweep.sensor}: points are in column {last} of the lidar's own image, and width "
                    f'is {p.width}; take the width of that image, or column_of "azimuth"'
                )
            others = Recorded(replace(sweep, ring=sweep.image_column), with_times=False)
            image_column = others.places[RING].copy()
            self._copies += others.copies
        return image_column, returns

    def _move(self, frame: Frame, recorded: Recorded) -> Move:
        """To where the spec wants x, y, z; what the image shows is as measured."""
        if self.params.xyz_frame == "ego":
            return self._placing.move(frame, recorded, Rules(), self._work)
        check_times(recorded, Rules(), self._work)
        origin = np.asarray(recorded.sweep.origin, dtype=np.float64)
        return Move(SHIFT, np.pad(-origin[:, None], ((0, 0), (3, 0)))[None]) if origin.any() else STAY

    def _row_of_ring(self, sweep: LidarSweep) -> NDArray[np.int32]:
        if self.params.rows == "spherical":
            return _NO_TABLE
        if sweep.ring is None or sweep.row_of_ring is None:
            lacks = "ring column" if sweep.ring is None else "table of its rings by elevation"
            raise BrokenRecord(
                f'{sweep.source or sweep.sensor}: the lidar gives no {lacks}, which rows "ring" need; '
                'use rows "spherical"'
            )
        # a copy: for read-only arrays numba would compile the kernel once more
        return np.array(sweep.row_of_ring, dtype=np.int32)

    def clearing(self, feature: str) -> Clearing:
        return "own"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        """`written` lists the cells that have a point or are windows, where they are few; else all is written."""
        used, few = self._seen + self._windows, len(self._cells) // _FEW
        listed = written.elements(used if used < few else 0)
        before, written.count = listed[: written.count], 0
        planes = out.reshape(-1, len(self._cells) - 1)

        def write(channel: int) -> None:
            own = planes[channel]
            empty, window, padding = self._where_none(feature, channel)
            if len(before) == 0:
                own[:] = empty
                if self._padded:
                    own.reshape(self.params.height, -1)[:, self.params.width :] = padding
            channels.clear_cells(before, empty, own)
            if self._windows:
                channels.clear_cells(self._cells[self._seen : used], window, own)
            if feature == "lidar_range_image":
                self._write_channel(channel, own)
            elif feature == "lidar_range_image_mask":
                channels.clear_cells(self._cells[: self._seen], 1.0, own)
            else:
                shown_by = (self._cells[: self._seen], self._numbers[: self._seen])
                channels.write_index(*shown_by, self._finite.array[: self._counted], own)

        if is_much(len(self._cells), self._stages.threads):
            self._stages.each(write, range(len(planes)))
        else:
            for channel in range(len(planes)):
                write(channel)
        if used < few:
            listed[:used] = self._cells[:used]
            written.count = used

    def _where_none(self, feature: str, channel: int) -> tuple[float, float, float]:
        """Returns what a cell holds that shows no point; if it is a window; if it is padding."""
        if feature == "lidar_range_image_index":
            return -1.0, -1.0, -1.0
        p = self.params
        if feature == "lidar_range_image_mask" or (p.norm is not None and p.norm.empty == "zero"):
            return 0.0, 0.0, 0.0
        return self._normalised(channel, p.fill_of(channel)), self._normalised(channel, 0.0), 0.0

    def _normalised(self, channel: int, value: float) -> float:
        norm = self._norms[channel]
        if len(norm) == 0:
            return value
        low, high, mean, std = norm
        return float((min(max(np.float32(value), low), high) - mean) / std)

    def _write_channel(self, channel: int, out: NDArray[np.float32]) -> None:
        p, norm = self.params, self._norms[channel]
        cells, numbers = self._cells[: self._seen], self._numbers[: self._seen]
        assert self._seen == 0 or (self._record is not None and self._record() is not None), "asked outside of a build"
        name = p.channels[channel]
        # made afresh: channels are written side by side
        work = np.empty(BLOCK, np.float32)
        if name == "range":
            channels.write_range(cells, self._nearest, norm, out)
        elif name in _QUANTITIES:
            is_intensity = name == "intensity"
            mode = INTENSITY_MODES[p.intensity_mode] if is_intensity else RAW
            full_scale = self._full_scale if is_intensity else 1.0
            address, stride = self._lying[_QUANTITIES.index(name)].tolist()
            channels.write_quantity(cells, numbers, address, stride, mode, full_scale, norm, work, out)
        elif name == "occupancy":
            channels.clear_cells(cells, self._normalised(channel, 1.0), out)
        elif name == "elongation" and self._elongations[INTENSITY, 2] == ABSENT:
            channels.clear_cells(cells, self._normalised(channel, 0.0), out)
        elif name == "inclination" and p.inclination_of == "row":
            self._write_inclination_of_rows(channel, work, out)
        else:
            self._write_measured(name, norm, work, out)

    def _write_inclination_of_rows(self, channel: int, work: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        p, cells = self.params, self._cells[: self._seen]
        if p.rows == "spherical":
            upper, lower = self._view[:2]
            of_rows = upper - (np.arange(p.height) + 0.5) / p.height * (upper - lower)
        else:
            self._write_measured("inclination", _AS_IT_IS, work, out)
            row = cells // p.padded_width()
            count, total = np.bincount(row, minlength=p.height), np.bincount(row, out[cells], p.height)
            of_rows = np.where(count > 0, total / np.maximum(count, 1), p.fill_of(channel))
        shown = [self._normalised(channel, value) for value in of_rows.tolist()]
        out.reshape(p.height, -1)[:, : p.width] = np.array(shown)[:, None]

    def _write_measured(
        self, name: str, norm: NDArray[np.float32], work: NDArray[np.float32], out: NDArray[np.float32]
    ) -> None:
        cells, numbers, p = self._cells[: self._seen], self._numbers[: self._seen], self.params
        places, origin = self._elongations if name == "elongation" else self._places, self._origin
        if name == "azimuth" and p.azimuth_of == "point":
            places, origin = self._moved(), _AT_THE_ORIGIN
        measured = (places, _MEASURED[name], origin, self._lag_ns, HALVES, norm)
        xyz, times = np.empty((3, BLOCK)), np.empty(BLOCK, np.int64)
        channels.write_measured(cells, numbers, *measured, xyz, times, work, out)

    def _moved(self) -> NDArray[np.int64]:
        """Where x, y, z lie as the image shows them, as `_places`."""
        places = self._places.copy()
        places[:3, :2], places[:3, 2] = self._lying[:3], FLOAT32
        return places


def _view(p: RangeImageParams) -> NDArray[np.float64]:
    """Returns what the kernels take: (5,)."""
    first, last = p.azimuth_fov
    per_half_turn = p.width / ((first - last) / 180)
    # the same direction, of those from which counting on comes round only once
    first -= 360 * np.ceil((first - 180) / 360) if first > last else 360 * np.floor((first + 180) / 360)
    upper, lower = np.deg2rad(np.array(p.fov))
    return np.array([upper, lower, first / 180, per_half_turn, p.min_range])


def _norm(p: RangeImageParams, channel: int) -> NDArray[np.float32]:
    """Returns low, high, mean and std of a channel; (0,) where it stays as it is."""
    if p.norm is None:
        return _AS_IT_IS
    clip = None if p.norm.clip is None else p.norm.clip[channel]
    low, high = clip or (-np.inf, np.inf)
    return np.array([low, high, p.norm.mean[channel], p.norm.std[channel]], np.float32)
