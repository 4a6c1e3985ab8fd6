"""Float32 of a damaged file: a signalling NaN is a NaN like others, and numpy's warning of it reaches nobody."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from perceptum.datasets.reading.rotations import not_finite, rotations, transforms_or_errors
from perceptum.datasets.reading.widened import widened
from perceptum.datasets.waymo_v2.parquet import read_table
from perceptum.inputs import BrokenRecord

SIGNALLING = np.array([0x7FA00000], np.uint32).view(np.float32)


@pytest.fixture(autouse=True)
def _warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_numpy_warns_of_it():
    with pytest.raises(RuntimeWarning, match="invalid value encountered in cast"):
        SIGNALLING.astype(np.float64)


def test_it_becomes_a_nan_and_what_is_float64_is_not_copied():
    assert np.isnan(widened(SIGNALLING)).all()
    given = np.arange(3.0)
    assert widened(given) is given


def test_tables_of_poses_take_it():
    path = Path("poses.feather")
    turns, places = ("qw", "qx", "qy", "qz"), ("tx_m", "ty_m", "tz_m")
    assert not_finite({"tx_m": SIGNALLING}) == {0: "tx_m in row 0 is nan, wanted a finite number within 1e9"}
    with pytest.raises(BrokenRecord, match=r"^poses\.feather: row 0 has the quaternion \[nan, nan, nan, nan\]"):
        rotations(path, dict.fromkeys(turns, SIGNALLING))
    columns = dict.fromkeys((*turns, *places), SIGNALLING)
    assert isinstance(transforms_or_errors(path, np.array(["front"]), columns)["front"], BrokenRecord)


def test_lists_of_a_parquet_file_take_it(tmp_path):
    path = tmp_path / "poses.parquet"
    row = np.eye(4, dtype=np.float32).ravel()
    row[:1] = SIGNALLING
    parquet.write_table(pa.table({"pose": pa.array([row], pa.list_(pa.float32()))}), path)
    found, broken = read_table(path, ["pose"], "it is missing").transforms_or_gaps("pose")
    assert np.isnan(found[0, 0, 0])
    assert not broken
