"""Segmentation of the ground seen from above: which layers of the map each cell has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from perceptum.errors import UsageError
from perceptum.features import ReferenceFrame
from perceptum.features.map.raster import RasterParams
from perceptum.inputs import Frame

from .metric import Curve, JudgedProblem, Observation, Scores
from .problem import HasSpec
from .target_row import target_row

__all__ = ["BevSegmentation"]

_OUTPUT = "map"


@dataclass(frozen=True)
class BevSegmentation(JudgedProblem):
    """The problem: the map around the vehicle, from its sensors. Judged as BEVFusion does (Liu et al. 2023).

    What a model gives:
        map: float32, the shape of gt_map with the same params, (C, Y, X) or as their `bev_layout` says: how sure it is
            that a cell is of a layer, 0 to 1, each layer by itself. Cells lie in the frame of reference of the params.
    """

    name: ClassVar[str] = "bev_segmentation"

    params: str | Mapping[str, Any] = "bevfusion_seg"
    """The layers and cells: parameters of gt_map, or the name of a preset."""
    layers: tuple[str, ...] | None = None
    """Only these, in this order, instead of the layers of the params."""
    thresholds: tuple[float, ...] = (0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65)
    """How sure a model must be of a cell; of each layer that which suits it best counts."""
    _raster: RasterParams = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        levels = np.asarray(self.thresholds, np.float64).reshape(-1)
        if not (levels.size and (levels > 0).all() and (levels <= 1).all() and (np.diff(levels) > 0).all()):
            raise UsageError(f"thresholds must rise, be above 0 and at most 1, got {self.thresholds}")
        resolved = target_row("gt_map", self.params, **self._own())
        assert isinstance(resolved.params, RasterParams)
        object.__setattr__(self, "_raster", resolved.params)
        shape, frame = list(resolved.row.shape), _frame_of(resolved.params)
        output = {"name": _OUTPUT, "dtype": "float32", "shape": shape, "frame": frame}
        object.__setattr__(self, "output_spec", (output,))
        super().__post_init__()

    @property
    def targets(self) -> Sequence[Any]:
        """gt_map and gt_map_valid."""
        return tuple(target_row(name, self.params, **self._own()).row.to_dict() for name in ("gt_map", "gt_map_valid"))

    @property
    def classes(self) -> tuple[str, ...]:
        """The layers, in the order of the channels."""
        return self._raster.layers

    def labelled(self, targets: Mapping[str, NDArray[Any]], frame: Frame) -> bool:
        """Whether the log's map has one of the layers."""
        return bool(targets["gt_map_valid"].any())

    def observe(
        self, model: HasSpec, outputs: Mapping[str, NDArray[Any]], targets: Mapping[str, NDArray[Any]], frame: Frame
    ) -> Observation:
        """counts: (C, 2, T + 1) int64: how many cells of each layer are not of it, and are, by how many of the
        thresholds are reached there; 0 of layers that the log's map does not have. valid: (C,) uint8, whether it has.
        """
        from .kernels.segmentation import count_levels

        if _OUTPUT not in outputs:
            raise UsageError(f"a model of {self.name} gives '{_OUTPUT}', the outputs have {_listed(outputs)}")
        said, truth = np.asarray(outputs[_OUTPUT]), targets["gt_map"]
        if said.shape != truth.shape:
            raise UsageError(f"output '{_OUTPUT}' must be {truth.shape}, as gt_map, got {said.shape}")
        if said.dtype.kind != "f":
            raise UsageError(f"output '{_OUTPUT}' must be float32, got {said.dtype}")
        params = self._raster
        channel = params.order().index("C")
        levels = np.asarray(self.thresholds, np.float32)
        counts = np.zeros((len(params.layers), 2, len(levels) + 1), np.int64)
        valid = np.array(targets["gt_map_valid"], np.uint8)
        for number, layer in enumerate(params.layers):
            # a layer that the map does not have is looked at too: what is broken there is broken
            own = np.ascontiguousarray(np.take(said, number, channel), np.float32).reshape(-1)
            is_there = np.ascontiguousarray(np.take(truth, number, channel) > 0).reshape(-1)
            given: list[Any] = [is_there, np.require(own, requirements="W"), levels, counts[number]]
            wrong = count_levels(*given)
            if wrong >= 0:
                raise UsageError(
                    f"output '{_OUTPUT}' is {own[wrong]} in a cell of '{layer}', wanted 0 to 1, as a sigmoid gives"
                )
        counts[valid == 0] = 0
        return {"counts": counts, "valid": valid}

    def score(self, observations: Sequence[Observation]) -> Scores:
        """IoU of each layer over all cells of all frames, at the threshold that suits it best; NaN of a layer that is
        in no cell, neither by the labels nor by the model. mIoU is the mean over the others."""
        layers, levels = self.classes, [float(level) for level in self.thresholds]
        counts = np.zeros((len(layers), 2, len(levels) + 1), np.int64)
        valid = np.zeros(len(layers), np.int64)
        for one in observations:
            counts += one["counts"]
            valid += one["valid"] != 0
        # reached at least: those that reach more levels reach this one
        reached = np.cumsum(counts[..., ::-1], axis=2)[..., ::-1][..., 1:]
        right, wrong = reached[:, 1], reached[:, 0]
        every = counts[:, 1].sum(axis=1)[:, None] + wrong
        iou = np.divide(right, every, out=np.full(right.shape, np.nan), where=every > 0)
        known = ~np.isnan(iou).all(axis=1)
        best = np.full(len(layers), np.nan)
        best[known] = np.nanmax(iou[known], axis=1)
        classes = {
            layer: {"IoU": float(best[i]), **{f"IoU@{level:g}": float(iou[i, t]) for t, level in enumerate(levels)}}
            for i, layer in enumerate(layers)
        }
        summary = {"mIoU": _mean(best), **{f"mIoU@{level:g}": _mean(iou[:, t]) for t, level in enumerate(levels)}}
        curves = {
            layer: Curve(np.array(levels), iou[i], "threshold", "IoU") for i, layer in enumerate(layers) if known[i]
        }
        missing = {
            f"frames whose map does not have {layer}": len(observations) - int(valid[i])
            for i, layer in enumerate(layers)
        }
        return Scores(
            summary,
            classes,
            {"IoU over threshold": curves} if curves else {},
            {"frames": len(observations), "cells": int(counts.sum()), **{k: n for k, n in missing.items() if n}},
        )

    def _own(self) -> dict[str, Any]:
        return {} if self.layers is None else {"layers": list(self.layers)}


def _frame_of(params: RasterParams) -> ReferenceFrame:
    if params.frame == "radar":
        raise UsageError("params of gt_map: a model answers in the ego or the lidar frame of reference, not in 'radar'")
    # seen from above the height does not matter
    return "lidar" if params.frame == "lidar" else "ego"


def _mean(numbers: NDArray[np.float64]) -> float:
    known = numbers[~np.isnan(numbers)]
    return float(known.mean()) if len(known) else float("nan")


def _listed(outputs: Mapping[str, object]) -> str:
    return ", ".join(outputs) or "none"
