"""map_polylines and what belongs to its rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.map import PolylinesParams
from perceptum.features.map.layers import LAYERS, hint_for
from perceptum.features.map.polylines import LANE_LINES
from perceptum.inputs import HDMap, MissingRecord

from ..kernels.map import polylines as kernels
from ..sample import Sample
from ..scratch import Scratch
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .around import MapAround
from .placing import Area, numbers_of, window_of
from .vectors import Vectors, has_layer, vectors_of

__all__ = ["Polylines"]

_EVERYWHERE = (-np.inf, -np.inf, np.inf, np.inf)


class Polylines(Filler):
    def __init__(self, params: PolylinesParams, stages: Stages) -> None:
        super().__init__()
        self.title = "polylines of the map"
        self.params: PolylinesParams = params
        self.around = stages.share(MapAround, params.reference())
        self._columns = _numbered_columns(params)
        self._box = np.array(_EVERYWHERE if params.range is None else params.range)
        self._places = Scratch(np.float64)
        self._real = Scratch(np.uint8)
        self._distances = Scratch(np.float64)
        self._candidates = np.zeros(0, np.int64)
        self._vectors: Vectors | None = None
        self._rows = np.zeros(0, np.int64)
        """Which of the candidates each row is; -1: none."""

    @property
    def nbytes(self) -> int:
        return self._places.array.nbytes + self._real.array.nbytes + self._distances.array.nbytes

    def run(self, sample: Sample) -> None:
        self.dropped = {}
        hdmap, mirrored = self.around.map, self.around.reference.mirrors
        self._vectors = None
        self._rows = np.full(self.params.dims().get("L", 0), -1)
        if hdmap is None:
            self.around.report_none("no map", self.params.required)
            return
        self._check_layers(hdmap)
        key = (Vectors, self.params, mirrored)
        vectors = self._vectors = sample.frame.log.cache.get(key, lambda: vectors_of(hdmap, self.params, mirrored))
        self._choose(vectors)
        if self.around.reference.on_ground:
            self._count_from_ground()

    def _check_layers(self, hdmap: HDMap) -> None:
        """Raises MissingRecord where the map lacks a layer that is required, or that no map has."""
        location, required = self.around.frame.log.source.location, self.params.required
        missing = [name for name in self.params.layers if not has_layer(hdmap, name)]
        for name in missing:
            if name not in {*LAYERS, *LANE_LINES} and name.removesuffix("_holes") not in LAYERS:
                hint = hint_for(name, {*hdmap.layers, *LAYERS, *LANE_LINES})
                raise MissingRecord(f"{location}: no map has a layer '{name}'; {hint}this one has {_names(hdmap)}")
        if {*missing} & {*LANE_LINES}:
            self.around.report_none("a map without lanes", required)
        if others := [name for name in missing if name not in LANE_LINES]:
            what = f"layer{'s' if len(others) > 1 else ''} {', '.join(others)}"
            self.around.report_none(f"a map without the {what}; it has {_names(hdmap)}", required)

    def _choose(self, vectors: Vectors) -> None:
        params = self.params
        numbers = numbers_of(self.around)
        area = self._area()
        n = len(vectors)
        self._candidates = (
            np.arange(n) if area is None else vectors.index.touching(*window_of(self.around, area, vectors.z_span))
        )
        distances = self._distances.reserve(len(self._candidates))[: len(self._candidates)]
        radius = np.inf if params.radius is None else params.radius
        given: list[Any] = [vectors.points, vectors.starts, vectors.ranked_by, self._candidates, numbers]
        given += [*params.centre, radius, self._box, params.distance_to == "mean_point"]
        given += [params.points_beyond == "masked", params.elements == "vectors", *self._results(), distances]
        kernels.choose(*given)
        kernels.find_before(
            vectors.points, vectors.starts, vectors.goes_on, self._candidates, numbers, self._results()[0]
        )
        self._rows = self._in_order(vectors, distances)

    def _area(self) -> Area | None:
        """Returns xmin ymin xmax ymax in the frame of reference, outside of which nothing is taken; None: nowhere."""
        (x, y), r = self.params.centre, self.params.radius
        circle = None if r is None else (x - r, y - r, x + r, y + r)
        return circle if self.params.range is None else self.params.range

    def _results(self) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """(k, Q + 1, 3) float64 places and (k, P) uint8, which steps are real."""
        k, steps = len(self._candidates), self.params.points_per_polyline
        wide = steps + 2
        places = self._places.reserve(k * wide * 3)[: k * wide * 3].reshape(k, wide, 3)
        return places, self._real.reserve(k * steps)[: k * steps].reshape(k, steps)

    def _in_order(self, vectors: Vectors, distances: NDArray[np.float64]) -> NDArray[np.int64]:
        taken = np.flatnonzero(distances < np.inf)
        line = self._candidates[taken]
        if self.params.order == "nearest":
            taken = taken[np.lexsort((line, vectors.layers[line], vectors.ids[line], distances[taken]))]
        counts = self.params.counts
        if counts is None:
            most = self.params.max_polylines
            self.dropped = {"polylines over max_polylines": 0 if most is None else max(len(taken) - most, 0)}
            return taken[:most]
        layer, parts = vectors.layers[self._candidates[taken]], []
        for number, count in enumerate(counts):
            own = taken[layer == number][:count]
            parts.append(np.pad(own, (0, count - len(own)), constant_values=-1))
        rows = np.concatenate(parts)
        self.dropped = {"polylines over counts": len(taken) - int((rows >= 0).sum())}
        return rows

    def _count_from_ground(self) -> None:
        """Counts the heights of the chosen polylines from the ground."""
        reference, places = self.around.reference, self._results()[0]
        chosen = self._rows[self._rows >= 0]
        # what lies behind a shorter line's points is of another frame, and may be anything
        many = np.diff(self._vectors.starts)[self._candidates[chosen]] if self._vectors is not None else chosen
        real = np.arange(places.shape[1])[None, :] <= many[:, None]
        moved = places[chosen]
        ego_from_ref = reference.ego_from_ref
        moved[real] = reference.places(moved[real] @ ego_from_ref[:3, :3].T + ego_from_ref[:3, 3])
        places[chosen] = moved

    def sizes(self) -> Mapping[str, int]:
        return {"num_polylines": len(self._rows)} if self.params.counts is None else {}

    def clearing(self, feature: str) -> Clearing:
        return "own" if feature in ("map_polylines", "map_polyline_mask", "map_polyline_center") else "whole"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        if feature == "map_num_polylines":
            out[0] = len(self._rows)
            return
        rows = self._rows[: len(out)]
        n = len(rows)
        if feature in ("map_polyline_type", "map_polyline_id"):
            out[:] = -1
            real = np.flatnonzero(rows >= 0)
            if self._vectors is not None and len(real):
                own = self._vectors.layers if feature == "map_polyline_type" else self._vectors.ids
                out[real] = own[self._candidates[rows[real]]]
            return
        self._write(feature, rows, out[:n])
        written.clear_rows(n, out)

    def _write(self, feature: str, rows: NDArray[np.int64], out: NDArray[Any]) -> None:
        vectors = self._vectors
        if vectors is None:
            out[:] = 0
            return
        places, real = self._results()
        is_vectors = self.params.elements == "vectors"
        if feature == "map_polyline_mask":
            out[:] = np.where((rows >= 0)[:, None], real[rows], 0) if len(real) else 0
        elif feature == "map_polyline_center":
            kernels.find_centers(rows, places, real, is_vectors, out)
        else:
            layers, flags = vectors.layers[self._candidates], vectors.flags[self._candidates]
            kernels.write_polylines(rows, places, real, is_vectors, layers, flags, self._columns, out)


def _names(hdmap: HDMap) -> str:
    """Returns the layers that a map has."""
    return ", ".join(sorted({*hdmap.layers, *(LANE_LINES if hdmap.lanes is not None else ())})) or "no layers"


def _numbered_columns(params: PolylinesParams) -> NDArray[np.int64]:
    """(F, 2): what each column is, and which of a block."""
    columns = []
    for name in params.columns:
        block = len(params.layers) if name == "layer_onehot" else 1
        columns += [(kernels.COLUMNS.index(name), number) for number in range(block)]
    return np.array(columns, dtype=np.int64)
