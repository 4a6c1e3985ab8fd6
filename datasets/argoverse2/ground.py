"""Argoverse 2's ground height raster: a .npy file, and the similarity that places it in the city."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, GroundGrid, MissingRecord

from ..reading.files import one_file, read_bytes
from ..reading.typed_json import read_json

__all__ = ["GROUND_FILE", "read_ground"]

GROUND_FILE = "*_ground_height_surface*.npy"


class Sim2(msgspec.Struct):
    """pixel = s (R p + t)."""

    R: list[float]
    t: list[float]
    s: float


def read_ground(folder: Path) -> GroundGrid | None:
    """Returns the ground height raster of a map/ folder, in the dtype it is stored in; None where there is none."""
    path = one_file(folder, GROUND_FILE)
    if path is None:
        return None
    placed = one_file(folder, "*___img_Sim2_city.json")
    if placed is None:
        raise MissingRecord(f"{folder}: no file *___img_Sim2_city.json, which places {path.name} in the city")
    sim2 = read_json(placed, Sim2, "the ground height needs it")
    rotation = np.array(sim2.R).reshape(2, 2) if len(sim2.R) == 4 else np.zeros((2, 2))
    if len(sim2.t) != 2 or not np.allclose(rotation @ rotation.T, np.eye(2), atol=1e-6) or not sim2.s > 0:
        raise BrokenRecord(f"{placed}: wanted a rotation R of 4 numbers, t of 2 and a scale s above 0")
    return GroundGrid(_raster(path), rotation, np.array(sim2.t), sim2.s)


def _raster(path: Path) -> NDArray[np.floating]:
    """Returns the (H, W) array of a .npy file; its size is checked against the header before it is taken."""
    encoded = read_bytes(path, "the ground height needs it")
    stream = io.BytesIO(encoded)
    try:
        version = np.lib.format.read_magic(stream)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = read_header[version](stream)
    except (ValueError, KeyError) as error:
        raise BrokenRecord(f"{path}: not a .npy file of version 1 or 2 ({str(error)[:120]})") from error
    if dtype.kind != "f" or len(shape) != 2:
        raise BrokenRecord(f"{path}: holds {dtype} {shape}, wanted a (height, width) array of floats")
    wanted = shape[0] * shape[1] * dtype.itemsize
    found = len(encoded) - stream.tell()
    if found != wanted:
        cells = shape[0] * shape[1]
        seems = (
            f"its numbers seem to have {found // cells} bytes each"
            if cells and found and found % cells == 0
            else "the file is cut short"
            if found < wanted
            else "its shape is not the header's"
        )
        raise BrokenRecord(f"{path}: {found} bytes of data, wanted {wanted} for {dtype} {shape}; {seems}")
    flat = np.frombuffer(encoded, dtype=dtype, offset=stream.tell())
    return flat.reshape(shape, order="F" if fortran else "C")
