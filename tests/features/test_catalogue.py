"""pc.features(): the catalogue."""

from __future__ import annotations

import json

import pytest

import perceptum as pc
from perceptum.features import FRAMES, UNITS, UnknownFeature, canonical


def test_the_catalogue_is_a_mapping_of_the_canonical_features():
    catalogue = pc.features()
    assert list(catalogue) == [feature.name for feature in canonical()]
    assert len(catalogue) == len(canonical())
    assert catalogue["lidar_voxels"] is canonical()["lidar_voxels"]
    assert "lidar_voxels" in catalogue
    assert "lidar_voxel" not in catalogue
    assert 5 not in catalogue


def test_a_name_that_is_none_has_a_hint_or_a_default():
    with pytest.raises(UnknownFeature, match=r"^no feature 'lidar_voxel'; did you mean 'lidar_voxels'\?$"):
        pc.features()["lidar_voxel"]
    assert pc.features().get("lidar_voxel") is None
    assert pc.features().get("lidar_voxel", 7) == 7
    assert pc.features().get("ego_pose") is canonical()["ego_pose"]


def test_its_rows_are_plain_data_with_presets():
    rows = json.loads(json.dumps(pc.features().to_rows()))
    assert [row["name"] for row in rows] == list(pc.features())
    by_name = {row["name"]: row for row in rows}
    assert "bevfusion" in by_name["lidar_voxel_coords"]["presets"]
    assert by_name["lidar_bev_occupancy"]["dtypes"] == ["uint8", "float32"]
    assert by_name["ego_pose"]["shape"] == [4, 4]


def test_printed_it_shows_every_feature_and_the_fingerprint():
    text = str(pc.features())
    assert text.startswith(f"schema canonical {canonical().version} ({canonical().fingerprint})")
    for feature in canonical():
        assert f"\n{feature.name} " in text
        assert feature.prose in text


def test_every_feature_says_what_it_is():
    for feature in canonical():
        assert feature.prose.endswith(".")
        assert UNITS[feature.units]
        assert FRAMES[feature.frame]
        sizes = feature.sizes(canonical().group_of(feature.name).params)
        assert [size for size in sizes if isinstance(size, str)] == [s for s in sizes if str(s).startswith("num_")]
