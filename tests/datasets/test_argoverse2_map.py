"""Argoverse 2's map: layers, lanes, ground, and every way to be broken."""

import json

import numpy as np
import pytest

from perceptum.datasets import open_log
from perceptum.datasets.argoverse2.map import midline
from perceptum.inputs import BrokenRecord, LogError, MissingRecord


def said(ask, kind=BrokenRecord):
    with pytest.raises(kind) as caught:
        ask()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_the_map_has_its_layers_lanes_and_ground(argoverse2):
    hd_map = open_log(argoverse2).map
    assert {name: (layer.kind, len(layer)) for name, layer in hd_map.layers.items()} == {
        "drivable_area": ("polygon", 1),
        "crossing": ("polygon", 1),
        "lane": ("polygon", 3),
        "intersection": ("polygon", 0),
        "lane_divider": ("line", 2),
    }
    # the closing corner is not kept, and the second edge is turned
    assert len(hd_map.layers["drivable_area"][0]) == 3
    assert hd_map.layers["crossing"][0][:, :2].tolist() == [[1, 0], [1, 4], [3, 4], [3, 0]]
    assert hd_map.lanes.ids.tolist() == ["11", "12", "13"]
    assert hd_map.lanes.successors.tolist() == [[0, 1]]
    assert hd_map.lanes.neighbors.tolist() == [[-1, 2], [-1, -1], [0, -1]]
    # 2 m cells from (5000, 2000): the raster's row is y, its column x
    np.testing.assert_array_equal(
        hd_map.ground_height([[5000, 2000], [5007.9, 2000], [5000, 2004.1], [4999.9, 2000], [np.nan, 2000]]),
        [np.nan, 3, 8, np.nan, np.nan],
    )


def test_a_given_centreline_is_kept_and_another_is_the_middle(argoverse2):
    lanes = open_log(argoverse2).map.lanes
    assert lanes.centerlines[1][:, 1].tolist() == [2000.5, 2000.5]
    np.testing.assert_allclose(
        lanes.centerlines[0], np.column_stack([np.linspace(5000, 5010, 10), [2000] * 10, [60] * 10])
    )


def test_the_middle_of_uneven_and_degenerate_lines_is_finite():
    left = np.array([[0.0, 1, 0], [0, 1, 0], [9, 1, 9]])
    right = np.array([[0.0, -1, 0], [0, -1, 0]])
    middle = midline(left, right)
    np.testing.assert_allclose(middle[:, 0], np.linspace(0, 4.5, 10))
    np.testing.assert_allclose(middle[:, 1], 0)


def test_a_ground_without_a_vector_map_is_read(argoverse2):
    next((argoverse2 / "map").glob("log_map_archive_*.json")).unlink()
    hd_map = open_log(argoverse2).map
    assert hd_map.ground_height([[5007.9, 2000]]).tolist() == [3]
    assert (hd_map.layers, hd_map.lanes, hd_map.unread) == ({}, None, ())


def test_what_is_there_and_not_read_is_said(argoverse2):
    folder = argoverse2 / "map"
    path = next(folder.glob("log_map_archive_*.json"))
    plain = json.loads(path.read_text()) | {"traffic_lights": {"1": {}, "2": {}}}
    path.write_text(json.dumps(plain))
    (folder / "driveable_area.npy").write_bytes(b"")
    with pytest.warns(UserWarning, match="not read: ") as caught:
        hd_map = open_log(argoverse2).map
    assert hd_map.unread == ("file driveable_area.npy (1)", "table 'traffic_lights' (2)")
    assert [str(w.message) for w in caught] == [f"{folder}: not read: {', '.join(hd_map.unread)}"]
    path.rename(folder / "a_map.xml")
    with pytest.warns(UserWarning, match="not read: file a_map.xml"):
        assert open_log(argoverse2).map.lanes is None


def test_a_map_that_is_read_whole_says_nothing(argoverse2, recwarn):
    assert open_log(argoverse2).map.unread == ()
    assert not [w for w in recwarn if "not read" in str(w.message)]


def test_a_log_without_a_map_has_none(argoverse2):
    (argoverse2 / "map").rename(argoverse2 / "unused")
    assert open_log(argoverse2).map is None


def map_file(log, pattern):
    return next((log / "map").glob(pattern))


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda m: m.pop("lane_segments"), "not the expected JSON (Object missing required field `lane_segments`)"),
        (
            lambda m: m["lane_segments"]["11"].update(id="x"),
            "not the expected JSON (Expected `int`, got `str` - at `$.lane_segments[...].id`)",
        ),
        (
            lambda m: m["lane_segments"]["11"].update(left_lane_boundary=[]),
            "lane segment 11 has a line of 0 points, wanted at least 2",
        ),
        (
            lambda m: m["lane_segments"]["12"].update(id=11),
            "3 lane segments have only 2 ids, wanted one each",
        ),
        (lambda m: m["drivable_areas"]["7"]["area_boundary"].pop(1), "area 7 has 2 corners, wanted at least 3"),
        (
            lambda m: m["drivable_areas"]["7"]["area_boundary"][0].update(x=1e12),
            "7 has a point that is not finite or beyond 1e9 m",
        ),
    ],
)
def test_a_broken_map_is_named(argoverse2, change, wanted):
    path = map_file(argoverse2, "log_map_archive_*.json")
    changed = json.loads(path.read_text())
    change(changed)
    path.write_text(json.dumps(changed))
    assert said(lambda: open_log(argoverse2).map) == f"{path}: {wanted}"


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b'{"lane_segments": NaN}', b"[" * 100_000])
def test_a_map_that_is_no_json_is_named(argoverse2, content):
    path = map_file(argoverse2, "log_map_archive_*.json")
    path.write_bytes(content)
    assert said(lambda: open_log(argoverse2).map).startswith(f"{path}: not the expected JSON (")


def test_two_maps_in_one_log_are_refused(argoverse2):
    (argoverse2 / "map" / "log_map_archive_other.json").write_text("{}")
    assert said(lambda: open_log(argoverse2).map, LogError) == (
        f"{argoverse2}/map: 2 files log_map_archive_*.json (log_map_archive_log-0001____PIT_city_1.json, "
        "log_map_archive_other.json), wanted one"
    )


def test_a_ground_raster_without_its_place_is_named(argoverse2):
    map_file(argoverse2, "*Sim2*").unlink()
    assert said(lambda: open_log(argoverse2).map, MissingRecord) == (
        f"{argoverse2}/map: no file *___img_Sim2_city.json, which places "
        "log-0001_ground_height_surface____PIT.npy in the city"
    )


@pytest.mark.parametrize(
    "content", ['{"R": [1, 0, 0], "t": [0, 0], "s": 1}', '{"R": [2, 0, 0, 2], "t": [0, 0], "s": 1}']
)
def test_a_ground_place_that_is_no_similarity_is_named(argoverse2, content):
    path = map_file(argoverse2, "*Sim2*")
    path.write_text(content)
    assert said(lambda: open_log(argoverse2).map) == (
        f"{path}: wanted a rotation R of 4 numbers, t of 2 and a scale s above 0"
    )


def test_a_broken_ground_raster_is_named(argoverse2):
    path = map_file(argoverse2, "*.npy")
    whole = path.read_bytes()
    path.write_bytes(whole[:-4])
    assert said(lambda: open_log(argoverse2).map) == (
        f"{path}: 20 bytes of data, wanted 24 for float16 (3, 4); the file is cut short"
    )
    # a header that promises 2 exabytes is refused before any of it is allocated
    path.write_bytes(whole.replace(b"(3, 4), }  ", b"(10**9, 10**9), }")[:60])
    assert f"{path}: not a .npy file of version 1 or 2 (" in said(lambda: open_log(argoverse2).map)
    path.write_bytes(whole.replace(b"(3, 4), }" + b" " * 16, b"(1000000000, 1000000000)}"))
    assert "24 bytes of data, wanted 2000000000000000000 for" in said(lambda: open_log(argoverse2).map)
    np.save(path, np.zeros((3, 4), np.int32))
    assert said(lambda: open_log(argoverse2).map) == (
        f"{path}: holds int32 (3, 4), wanted a (height, width) array of floats"
    )
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    assert "wanted a (height, width) array of floats" in said(lambda: open_log(argoverse2).map)
