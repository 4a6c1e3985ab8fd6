"""One table says what the layers of maps are called: that of docs/maps.md, which features and readers keep to."""

import re
from pathlib import Path

import pytest

from perceptum.datasets import open_log
from perceptum.datasets.maps.lanelet2 import read_lanelet2
from perceptum.datasets.maps.opendrive import read_opendrive
from perceptum.datasets.py123d import map as py123d_map
from perceptum.features.map.layers import LAYERS

PAGE = Path(__file__).parents[2] / "docs" / "maps.md"
OF_THE_GRAPH = {"lane_centerline", "lane_boundary"}
pytestmark = pytest.mark.filterwarnings("ignore:.*not read")


def table():
    """Layer -> column -> cell, of the page's first table."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("| layer |"))
    head = [cell.strip() for cell in lines[first].strip("|").split("|")]
    rows = {}
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert len(cells) == len(head), line
        rows[cells[0].strip("`")] = dict(zip(head, cells, strict=True))
    return rows


def said_of(column):
    return {name for name, row in table().items() if row[column]} - OF_THE_GRAPH


def layers_of(hd_map):
    """Without those of holes; each has the form that the page says."""
    names = {re.sub("_holes$", "", name) for name in hd_map.layers}
    for name in names:
        assert hd_map.layers[name].kind in table()[name]["form"], name
    return names


def test_features_know_the_layers_of_the_page():
    assert [name for name in table() if name not in OF_THE_GRAPH] == [n for n in LAYERS if n not in OF_THE_GRAPH]
    assert not OF_THE_GRAPH - set(LAYERS)


@pytest.mark.parametrize(
    ("fixture", "column"),
    [("nuscenes", "nuScenes"), ("argoverse2", "Argoverse 2"), ("waymo_motion", "Waymo Motion")],
)
def test_a_dataset_has_the_layers_that_the_page_says(request, fixture, column):
    assert layers_of(open_log(request.getfixturevalue(fixture)).map) == said_of(column)


def test_the_synthetic_street_has_the_layers_that_the_page_says():
    log = open_log("synthetic", frames=2, beams=8, azimuth_steps=90)
    assert layers_of(log.map) == said_of("synthetic")


def test_py123d_has_the_layers_that_the_page_says():
    names = {*py123d_map._POLYGONS.values(), *py123d_map._LINES.values(), "lane"}
    assert names == said_of("py123d")


def test_maps_of_other_formats_have_the_layers_that_the_page_says(tmp_path):
    pytest.importorskip("lanelet2")
    from .test_lanelet2 import node, small, way
    from .test_opendrive import road

    tags = '<tag k="type" v="multipolygon"/><tag k="subtype" v="parking"/>'
    corners = "".join(node(950 + i, *at) for i, at in enumerate([(0, 20), (9, 20), (9, 29)]))
    ring = way(61, (950, 951, 952, 950))
    area = f'<relation id="70"><member type="way" ref="61" role="outer"/>{tags}</relation>'
    (tmp_path / "a.osm").write_text(small(extra=corners + ring + area))
    assert layers_of(read_lanelet2(tmp_path / "a.osm")) == said_of("Lanelet2")
    (tmp_path / "a.xodr").write_text(f"<OpenDRIVE>{road()}</OpenDRIVE>")
    assert layers_of(read_opendrive(tmp_path / "a.xodr")) == said_of("OpenDRIVE")


def test_layers_of_stores_made_before_have_the_names_of_today(tmp_path):
    from perceptum.inputs import HDMap, Shapes
    from perceptum.inputs.store.hdmaps import arrays_of_map, map_of_arrays

    square = Shapes.of("polygon", {"a": [(0, 0), (1, 0), (1, 1)]})
    stored = arrays_of_map(HDMap({"sidewalk": square, "stop_zone": square, "mine": square}))
    assert list(map_of_arrays("a", stored).layers) == ["walkway", "stop_line", "mine"]
