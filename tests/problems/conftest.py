"""Real frames, where they lie beside the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from perceptum.datasets import open_log

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def real_kitti_object():
    if not (DATA / "kitti_object").is_dir():
        pytest.skip("the real sensor data (../shared/data beside the checkout) is not here")
    return open_log(DATA / "kitti_object")


@pytest.fixture(scope="session")
def real_scenario():
    folders = sorted((DATA / "argoverse2" / "forecasting_scenarios").glob("*"))
    if not folders:
        pytest.skip("the real sensor data (../shared/data beside the checkout) is not here")
    return open_log(folders[0])
