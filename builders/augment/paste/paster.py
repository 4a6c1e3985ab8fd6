"""Pasting objects into a sample's frame: its sweeps and its labels are others then, for all that ask."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features import ReferenceParams
from perceptum.inputs import Frame, Labels, LidarSweep, PointLabels
from perceptum.inputs.once import get_or_make, once
from perceptum.inputs.poses import inverse
from perceptum.inputs.source import point_classes_of

from ...columns import HALVES, Recorded, Rules, Work
from ...kernels.inside import SQUARES, find_inside, leave_out, list_squares
from ...kernels.record import BLOCK
from ...lidar.placing import Placing
from ...motion import ref_from_sensors
from ...reference import Reference
from ...sample import Draw, Sample
from ...scratch import address
from ...stage import Stages
from .option import Paste
from .scene import PastedObjects, chosen_by

__all__ = ["PastedFrame", "Paster"]

_log = logging.getLogger(__name__)

_COLUMNS = ("x", "y", "z", "intensity", "ring", "offset_ns", "elongation", "return_index", "image_column")
_UNLABELLED = -1
_SAMPLED = 2048
"""Points of a sweep from which it is seen which column of the lidar's own image an azimuth is."""


class Paster:
    """Gives samples that have a draw a frame with objects pasted into it. One for each lane."""

    def __init__(self, paste: Paste, stages: Stages) -> None:
        """stages: any without augmentation: what is pasted stands in the frame before that is changed."""
        self.paste = paste
        self._pools = paste.pools()
        self._first_time: Callable[[Hashable], bool] = stages.first_time
        self.placing = Placing(Reference(ReferenceParams(), stages), per_point=True)
        self._extra_m = np.array([0.0, 0, 0, *paste.extra_size, 0])

    def __repr__(self) -> str:
        return f"<Paster: {self.paste!r}>"

    def pasted(self, sample: Sample) -> Sample:
        """Returns the sample with a frame of its own, into which what the draw says is pasted when it is first asked
        for; a sample without a draw as it is."""
        if sample.draw is None:
            return sample
        return Sample(PastedFrame(sample.frame, sample.draw, self), sample.draw)

    def objects_for(self, frame: Frame, draw: Draw, labels: Labels | None) -> PastedObjects | None:
        """Returns what is pasted; None where nothing is known of the frame's own objects, on which it would fall."""
        if labels is None:
            if self._first_time((Paster, "no labels")):
                _log.warning(
                    "%s: %s has no labels, so that nothing is pasted into it (reported once)",
                    frame.log.source.location,
                    frame,
                )
            return None
        found = chosen_by(self.paste, self._pools, draw, frame, labels)
        return found if len(found) else None

    def around(self, objects: PastedObjects) -> _Around | None:
        """Returns where points of the frame go; None where they all stay."""
        return _Around(objects.boxes + self._extra_m) if self.paste.remove_points else None


class _Around:
    """The pasted boxes, by squares, for `find_inside`."""

    def __init__(self, boxes: NDArray[np.float64]) -> None:
        self.boxes = boxes
        reach = np.hypot(boxes[:, 3], boxes[:, 4])[:, None] / 2
        low, high = (boxes[:, :2] - reach).min(axis=0), (boxes[:, :2] + reach).max(axis=0)
        # three squares more on each side: no box reaches those at the border
        self.square_m = max(float((high - low).max()), 1.0) / (SQUARES - 6)
        self.low = low - 3 * self.square_m
        self.squares = np.empty((SQUARES, SQUARES), np.uint64)
        list_squares(boxes, self.low, self.square_m, self.squares)


class PastedFrame(Frame):
    """A frame with objects pasted into its newest sweeps and its labels. What it has read, the plain one has too."""

    def __init__(self, frame: Frame, draw: Draw, paster: Paster) -> None:
        super().__init__(frame.log, frame.index)
        self._plain, self._draw, self._paster = frame, draw, paster
        self._read = frame._read
        self._pasted: dict[Hashable, LidarSweep | None] = {}

    @once
    def objects(self) -> PastedObjects | None:
        """What is pasted; None: nothing."""
        return self._paster.objects_for(self, self._draw, self._plain.labels)

    @once
    def labels(self) -> Labels | None:
        labels, objects = self._plain.labels, self.objects
        return labels if labels is None or objects is None else objects.labels(labels)

    @once
    def _around(self) -> _Around | None:
        return None if self.objects is None else self._paster.around(self.objects)

    @once
    def _points(self) -> dict[str, dict[str, NDArray[Any]]]:
        """Lidar -> the columns of the points that are pasted into its newest sweep."""
        objects, lidars = self.objects, tuple(self.log.source.lidars)
        if objects is None or not lidars:
            return {}
        points = objects.points()
        # what no lidar of this log has measured, the primary one gets
        named = [lidars.index(name) if name in lidars else 0 for name in objects.database.lidars]
        receives = np.array(named, np.int64)[points["lidar"]]
        if (receives == receives[:1]).all():
            return {lidars[int(receives[0])]: points} if len(receives) else {}
        return {
            lidars[k]: {name: column[receives == k] for name, column in points.items()}
            for k in np.unique(receives).tolist()
        }

    def _sweep(self, sensor: str, index: int) -> LidarSweep | None:
        return get_or_make(self._pasted, (sensor, index), lambda: self._changed(sensor, index))

    def _changed(self, sensor: str, index: int) -> LidarSweep | None:
        sweep = self._plain._sweep(sensor, index)
        if sweep is None or self.objects is None:
            return sweep
        newest = next(iter(self._past(self.log.source.lidars[sensor], 1)), None)
        added = self._points.get(sensor) if index == newest else None
        gone = self._gone(sweep)
        if len(gone) == 0 and added is None:
            return sweep
        return self._made(sweep, gone, added)

    def _gone(self, sweep: LidarSweep) -> NDArray[np.int32]:
        """Returns the numbers of the points that are inside a pasted box, in order."""
        around, work, n = self._around, Work(), len(sweep)
        if around is None or n == 0:
            return np.empty(0, np.int32)
        recorded = Recorded(sweep, self._paster.placing.per_point(sweep), with_ring=False)
        move = self._paster.placing.move(self, recorded, Rules(), work)
        gone = np.empty(n, np.int32)
        given: list[Any] = [recorded.places, n, move.how, move.knots, move.first_ns, move.step_ns]
        given += [around.boxes, around.low, around.square_m, around.squares]
        given += [HALVES, work.xyz(recorded), work.times, np.empty((3, BLOCK), np.float32)]
        given += [np.empty((2, BLOCK), np.int32), gone]
        return gone[: find_inside(*given)]

    def _made(self, sweep: LidarSweep, gone: NDArray[np.int32], added: dict[str, NDArray[Any]] | None) -> LidarSweep:
        more = 0 if added is None else len(added["x"])
        values = {} if added is None else self._measured(sweep, added)
        recorded = {name: column for name in _COLUMNS if (column := getattr(sweep, name)) is not None}
        columns: dict[str, Any] = {**_without(recorded, gone, more)}
        for name, column in columns.items():
            if more:
                _put(values.get(name), column[len(column) - more :])
        return replace(sweep, **columns, point_labels=self._labels_of_points(sweep, gone, added))

    def _measured(self, sweep: LidarSweep, added: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Returns what the sweep's lidar would have recorded: in its own axes, at its stamp."""
        objects = self.objects
        assert objects is not None
        time_ns = sweep.time_ns if sweep.compensated_to_ns is None else sweep.compensated_to_ns
        ego_from_sensor = sweep.ego_from_sensor
        if time_ns != self.time_ns:
            asked = [([time_ns], ego_from_sensor)]
            moved = ref_from_sensors(self.poses, self.time_ns, asked, np.eye(4))[0][0]
            ego_from_sensor = np.concatenate([moved, [[0.0, 0, 0, 1]]])
        sensor_from_ego = inverse(ego_from_sensor)
        xyz = (
            np.stack([added["x"], added["y"], added["z"]], axis=1) @ sensor_from_ego[:3, :3].T + sensor_from_ego[:3, 3]
        )
        factor = sweep.intensity_scale / objects.database.intensity_scale[objects.numbers]
        found = dict(zip("xyz", xyz.T, strict=True))
        found["intensity"] = added["intensity"] * factor[added["object"]]
        found["ring"], found["elongation"] = added["ring"], added["elongation"]
        if sweep.row_of_ring is not None:
            # another lidar's rings may be more
            found["ring"] = np.clip(found["ring"], 0, len(sweep.row_of_ring) - 1)
        if sweep.image_column is not None:
            found["image_column"] = _image_columns(sweep, xyz)
        return found

    def _labels_of_points(
        self, sweep: LidarSweep, gone: NDArray[np.int32], added: dict[str, NDArray[Any]] | None
    ) -> PointLabels | None:
        recorded, objects = sweep.point_labels, self.objects
        if recorded is None or objects is None:
            return None
        of_object = np.empty(0, np.int64) if added is None else added["object"]
        codes = {name: code for code, name in (point_classes_of(self.log.source) or {}).items()}
        code = np.array([codes.get(name, _UNLABELLED) for name in objects.category.tolist()], np.int32)

        def read() -> tuple[NDArray[np.int32], NDArray[np.int32] | None]:
            semantic = np.append(np.delete(recorded.semantic, gone), code[of_object])
            if recorded.instance is None:
                return semantic, None
            first = int(recorded.instance.max(initial=0)) + 1
            return semantic, np.append(np.delete(recorded.instance, gone), (first + of_object).astype(np.int32))

        return PointLabels(read, len(recorded) - len(gone) + len(of_object), recorded.source)


def _without(columns: Mapping[str, NDArray[Any]], gone: NDArray[np.int32], more: int) -> dict[str, NDArray[Any]]:
    """Returns columns without some of their values, and with room for more behind them; those that lie interleaved in
    rows come to lie so again."""
    found: dict[str, NDArray[Any]] = {}
    n, kept = len(columns["x"]), len(columns["x"]) - len(gone)
    for row in _rows_of(columns):
        first, stride = row[0][0], columns[row[0][1]].strides[0]
        span = max(at + columns[name].itemsize for at, name in row) - first
        if n == 0 or stride <= 0 or stride % 4 or first % 4 or span % 4:
            for _, name in row:
                column = columns[name]
                found[name] = np.append(np.delete(column, gone), np.zeros(more, column.dtype))
            continue
        block = np.empty((kept + more) * stride // 4, np.float32)
        leave_out(first, stride // 4, n, span // 4, gone, block)
        for at, name in row:
            lies: Any = {"buffer": block.data, "offset": at - first, "strides": (stride,)}
            found[name] = np.ndarray((kept + more,), columns[name].dtype, **lies)
    return found


def _rows_of(columns: Mapping[str, NDArray[Any]]) -> list[list[tuple[int, str]]]:
    """Returns the columns by the rows in which they lie, each with its address; one alone is a row too."""
    rows: list[list[tuple[int, str]]] = []
    for at, name in sorted((address(column), name) for name, column in columns.items()):
        stride = columns[name].strides[0]
        beside = bool(rows) and columns[rows[-1][0][1]].strides[0] == stride
        if beside and at + columns[name].itemsize <= rows[-1][0][0] + stride:
            rows[-1].append((at, name))
        else:
            rows.append([(at, name)])
    return rows


def _put(values: NDArray[Any] | None, out: NDArray[Any]) -> None:
    """Writes values, or 0 where there are none, in the dtype of `out`."""
    if values is None:
        out[:] = 0
    elif out.dtype.kind in "iu":
        limits = np.iinfo(out.dtype)
        out[:] = np.clip(np.rint(values), limits.min, limits.max)
    else:
        out[:] = values


def _image_columns(sweep: LidarSweep, xyz: NDArray[np.float64]) -> NDArray[np.int64]:
    """Returns in which column of the lidar's own image places (N, 3) would be: columns are azimuths, counted from one
    that is the median of what the sweep's points say."""
    assert sweep.image_column is not None
    some = slice(None, None, max(len(sweep) // _SAMPLED, 1))
    column = sweep.image_column[some].astype(np.float64)
    azimuth = np.arctan2(sweep.y[some].astype(np.float64), sweep.x[some].astype(np.float64))
    known = np.isfinite(azimuth)
    if not known.any():
        return np.zeros(len(xyz), np.int64)
    width = int(sweep.image_column.max()) + 1
    per_rad = width / (2 * np.pi)
    # leftmost is the greatest azimuth; of angles in whole turns the median of what is left of the first
    first = (column + azimuth * per_rad)[known]
    shift = first[0] + np.median(np.remainder(first - first[0] + width / 2, width) - width / 2)
    found: NDArray[np.int64] = np.remainder(np.rint(shift - np.arctan2(xyz[:, 1], xyz[:, 0]) * per_rad), width)
    return found.astype(np.int64)
