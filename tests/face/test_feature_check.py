"""perceptum.testing.check_feature: our own features pass, and every mistake that a filler can make is said in words."""

from __future__ import annotations

import sys
from typing import ClassVar

import numpy as np
import pytest

from perceptum.builders import Cells, Cloud, Filler, split
from perceptum.datasets import memory_log
from perceptum.features import Concat, Feature, Grid, Group, Schema, SpecError, canonical
from perceptum.features.lidar import CloudParams
from perceptum.inputs import MissingRecord
from perceptum.testing import check_feature, hostile_frames

GRID = {"range": [-24, -24, -3, 24, 24, 3], "voxel": [1, 1, 1]}
CHANNELS = {"channels": ["azimuth", "elongation", "height", "inclination", "occupancy", "time_lag"], "xyz_frame": "ego"}
OWN = {
    "ego_pose": [None],
    "lidar_points": [None, {"num_sweeps": 2, "frame": "lidar", "max_points": 300, "range": [-20, -20, -3, 20, 20, 3]}],
    "lidar_voxels": [
        {"grid": GRID, "max_voxels": 400, "overflow": "break", "min_rows": 9},
        {"grid": GRID, "max_voxels": None, "order": "sorted_xyz", "mean_of": "all"},
    ],
    "lidar_pillar_features": [
        {"grid": GRID, "max_voxels": 400, "min_rows": 9},
        {"grid": GRID, "order": "sorted", "center_offset": "xy", "legacy": True, "with_distance": True},
    ],
    "lidar_bev_occupancy": [{"grid": GRID, "overflow_slices": True}],
    "lidar_bev_stats": [{"grid": GRID}, {"grid": GRID, "channels": ["slice_height", "var_z", "height_ratio"]}],
    "lidar_bev_temporal": [{"grid": GRID, "num_sweeps": 3, "time_axis": "own", "oldest_first": True}],
    "lidar_sweep_valid": [{"grid": GRID, "num_sweeps": 3}],
    "lidar_range_image": [
        {"height": 16, "width": 128},
        {"height": 16, "width": 120, "width_multiple": 32, "azimuth_fov": [60, -60], "gaps": "windows", **CHANNELS},
    ],
    "radar_points": [None, {"columns": ["x", "v_radial_comp", "pdh0_ordinal"], "missing_columns": "fill"}],
    "radar_voxels": [{"grid": GRID, "filter": "none", "max_voxels": 60, "max_points_per_voxel": 3, "min_rows": 2}],
    "radar_bev": [{"grid": GRID, "filter": "none", "oldest_first": True}],
    "camera_images": [
        {"image": {"crop": [20, 24]}},
        {"image": {"resize": [20, 24], "flip": True, "pad_multiple": 16}, "layout": "HWC", "resampler": "cv2_linear"},
    ],
    "camera_intrinsics": [{"image": {"resize": 0.5}}, {"augmented": False, "layout": "4x4"}],
    "camera_extrinsics": [None, {"frame": "lidar", "direction": "camera_from_ref", "layout": "3x4"}],
    "camera_projection": [{"image": {"crop": [20, 24]}}, {"motion_compensated": False}],
    "camera_image_affine": [{"image": {"crop": [20, 24]}, "inverse": True}, {"applied": "before_division"}],
    "camera_depth": [
        {"image": {"crop": [20, 24]}},
        {"image": {"crop": [20, 24]}, "source": "radar", "radar": {"filter": "none"}, "stride": 3, "heights": [0, 1]},
    ],
    "lidar_camera_pixels": [None, {"take": "all", "max_points": 200}],
    "radar_camera_points": [{"radar": {"filter": "none"}, "max_points": 7}],
    "map_polylines": [
        None,
        {"layers": ["lane_boundary", "crossing"], "counts": [9, 4], "points_beyond": "masked", "frame": "ego_ground"},
        {"resample": "spacing", "elements": "vectors", "points_per_polyline": 5, "max_polylines": 40, "frame": "lidar"},
    ],
    "lane_ctrs": [None, {"max_nodes": 60, "order": "nearest", "frame": "lidar", "points_per_lane": None}],
    "gt_boxes": [None, {"columns": ["x", "yaw", "label"], "max_boxes": 3, "centre": "bottom", "frame": "lidar"}],
    "ego_motion": [None, {"num_past": 3, "times": "sweeps", "frame": "lidar", "planar": "yaw", "oldest_first": True}],
    "ego_state": [None, "bevformer", {"columns": ["speed", "steering", "turned_deg"], "source": "auto"}],
    "ref_from_ego": [None, {"part": "change", "frame": "lidar", "inverse": True}],
    "agent_history": [
        {"agents": {"num_steps": 3, "max_agents": 9, "include_ego": "first"}},
        {"agents": {"num_steps": 3, "select": "ever", "velocity": "past"}, "layout": "TAF", "columns": ["dx", "ax"]},
    ],
    "agent_raster": [
        {"tracks": {"num_steps": 2}, "ego": True, "flip_x": True},
        {"tracks": {"num_steps": 2}, "colours": [[9, 200, 0]] * 3, "bev_layout": "YXC"},
    ],
    "gt_trajectory": [{"agents": {"num_steps": 2, "max_agents": 9, "include_ego": "as_agent"}, "num_future": 2}],
    "gt_segmentation": [None, {"max_points": 50, "overlap": "nearest"}, {"source": "points"}],
    "gt_boxes_2d": [{"image": {"crop": [20, 24]}}, {"outline": "corners", "max_boxes": 2, "columns": ["u", "visible"]}],
    "gt_pixor_cls": [{"grid": GRID, "stride": 2}],
    "gt_heatmap": [{"grid": GRID, "stride": 2}, {"cell": "clamp", "max_objects": 3, "object_order": "class"}],
    "map_raster": [None, {"rule": "cv2", "range": [-9, -9, 20, 14], "bev_layout": "CXY", "frame": "lidar"}],
    "map_valid": [None],
    "map_lane_direction": [{"range": [-9, -9, 20, 14], "flip_x": True, "lane_width": 2.0}],
    "map_ground_height": [{"range": [-9, -9, 20, 14], "interpolation": "bilinear", "relative_to": "reference"}],
    "map_rgb": [{"range": [-9, -9, 20, 14], "samples": 2, "bev_layout": "XYC"}],
    "gt_map": [{"range": [-9, -9, 20, 14], "layers": ["lane+stop_line", "lane_boundary"], "flip_x": True}],
}


@pytest.mark.parametrize(("name", "params"), [(name, params) for name, all_ in OWN.items() for params in all_])
def test_our_own_features_pass(name, params, monkeypatch):
    # threads share even small clouds
    monkeypatch.setattr(split, "_FEWEST", 64)
    check_feature(name, params)


def test_all_groups_of_ours_are_among_them():
    assert {canonical().group_of(name).name for name in OWN} == {group.name for group in canonical().groups}


class GapsParams(CloudParams, frozen=True, kw_only=True):
    sectors: int = 12

    def dims(self):
        return {"S": self.sectors}


class Gaps(Filler):
    """The nearest point by sector, the sectors with none, and which sector each of those is next to."""

    group = "acme_gaps"

    def __init__(self, params, stages):
        super().__init__()
        self.title = "gaps"
        self.params = params
        self.cloud = stages.share(Cloud, params.cloud())
        self.needs = (self.cloud,)

    def run(self, sample):
        x, y = self.cloud.points.values[:2].astype(np.float64)
        sector = ((np.arctan2(y, x) / (2 * np.pi) + 0.5) * self.params.sectors).astype(int) % self.params.sectors
        self.nearest = np.full(self.params.sectors, 100.0)
        np.minimum.at(self.nearest, sector, np.hypot(x, y))
        self.empty = np.flatnonzero(self.nearest == 100)

    def sizes(self):
        return {"num_gaps": len(self.empty)}

    def fill(self, feature, out, written):
        n = min(len(self.empty), out.shape[-1])
        if feature == "acme_nearest":
            out[:] = np.minimum(self.nearest, 100)
        elif feature == "acme_gaps":
            out[: len(self.empty)] = self.empty[: len(out)]
        elif feature == "acme_gap_edges":
            out[:, :n] = np.arange(n)
        else:
            out[0] = len(self.empty)


def feature(name, shape, dtype, units, **more):
    return Feature(name=name, dtypes=(dtype,), shape=shape, units=units, frame=more.pop("frame", "none"), **more)


def group(filler=Gaps, params=None, **change):
    features = {
        "acme_nearest": feature("acme_nearest", ("S",), "float32", "m", fill=100.0, frame="reference"),
        "acme_gaps": feature("acme_gaps", ("num_gaps",), "int32", "index", fill=-1, collate=Concat()),
        "acme_gap_edges": feature(
            "acme_gap_edges", (2, "num_gaps"), "int64", "index", fill=-1, collate=Concat(1, "offset", "acme_gaps")
        ),
        "acme_num_gaps": feature("acme_num_gaps", (1,), "int32", "count", counts="acme_gaps"),
    }
    return Group(
        name="acme_gaps",
        params=params or GapsParams(),
        features=tuple({**features, **change}.values()),
        presets={"coarse": {"sectors": 4}},
        filler=filler,
    )


@pytest.mark.parametrize("params", [None, "coarse", {"sectors": 30, "frame": "lidar"}])
def test_a_filler_without_a_mistake_passes(params):
    check_feature(group(), params)


class KeepsTheNearest(Gaps):
    """Forgets to start afresh."""

    def __init__(self, params, stages):
        super().__init__(params, stages)
        self.so_far = np.full(params.sectors, 100.0)

    def run(self, sample):
        super().run(sample)
        self.nearest = self.so_far = np.minimum(self.so_far, self.nearest)


class SaysWhole(Gaps):
    def clearing(self, feature):
        return "whole"

    def fill(self, feature, out, written):
        if feature == "acme_nearest":
            seen = self.nearest < 100
            out[seen] = self.nearest[seen]
        else:
            super().fill(feature, out, written)


class SaysOwn(SaysWhole):
    def clearing(self, feature):
        return "own" if feature == "acme_nearest" else "before"


class SaysNonsense(Gaps):
    def clearing(self, feature):
        return "never"


class SharesScratch(Gaps):
    last: ClassVar = {}

    def run(self, sample):
        super().run(sample)
        SharesScratch.last["nearest"] = self.nearest

    def fill(self, feature, out, written):
        self.nearest = SharesScratch.last["nearest"]
        super().fill(feature, out, written)


class KeepsOut(Gaps):
    def fill(self, feature, out, written):
        super().fill(feature, out, written)
        if feature == "acme_nearest":
            self.out = out.reshape(-1)


class WritesLater(Gaps):
    def fill(self, feature, out, written):
        super().fill(feature, out, written)
        if feature == "acme_nearest":
            self.out = out[...]
        elif hasattr(self, "out"):
            self.out[:] += 1
            del self.out


class WritesToTheCloud(Gaps):
    def run(self, sample):
        super().run(sample)
        points = self.cloud.points
        block = points.values
        block[2] += 1


class Random(Gaps):
    def run(self, sample):
        super().run(sample)
        self.nearest = np.random.default_rng().uniform(0, 100, len(self.nearest))


class NeedsPoints(Gaps):
    def run(self, sample):
        super().run(sample)
        self.cloud.points.values[2].max()


class Exits(Gaps):
    def run(self, sample):
        sys.exit("no licence")


class NotFinite(Gaps):
    def run(self, sample):
        super().run(sample)
        self.nearest = np.where(self.nearest < 100, self.nearest, np.nan)


class WrongName(Gaps):
    def sizes(self):
        return {"num_gaps": len(self.empty), "gaps": 3}


class WrongCount(Gaps):
    def fill(self, feature, out, written):
        super().fill(feature, out, written)
        if feature == "acme_num_gaps":
            out[0] += 1


class OverTheEnd(Gaps):
    def fill(self, feature, out, written):
        if feature == "acme_gaps":
            out[:] = self.empty
        else:
            super().fill(feature, out, written)


class ForgetsWhatIsWanted(Gaps):
    """Works the gaps out for who asked first."""

    def want(self, feature, dtype):
        self.first = getattr(self, "first", feature)

    def fill(self, feature, out, written):
        super().fill(feature, out, written)
        if self.first != "acme_nearest" and feature == "acme_nearest":
            out[:] = 0


class CountsThreads(Gaps):
    def __init__(self, params, stages):
        super().__init__(params, stages)
        self.threads = stages.threads

    def run(self, sample):
        super().run(sample)
        self.nearest += self.threads - 1


class UsesItUp(Gaps):
    def fill(self, feature, out, written):
        super().fill(feature, out, written)
        if feature == "acme_nearest":
            self.nearest = self.nearest * 0


class SharesWork(Gaps):
    """Between two of its lines another tensor of the same may be filled."""

    def fill(self, feature, out, written):
        super().fill(feature, out, written)
        if feature == "acme_nearest":
            self.work = np.zeros(len(out))
            self.work += self.nearest
            out[:] = np.minimum(self.work, 100)


class SometimesRefuses(Gaps):
    def __init__(self, params, stages):
        super().__init__(params, stages)
        self.built = 0

    def run(self, sample):
        super().run(sample)
        self.built += 1
        if self.built > 3:
            raise MissingRecord("no more")


class StridedByName(Gaps):
    strided = frozenset({"acme_gap"})


class Beyond(CloudParams, frozen=True, kw_only=True):
    sectors: int = 12

    def dims(self):
        return {"S": self.sectors}

    def cap(self, dim):
        return 1 if dim == "num_gaps" else None


MISTAKES = {
    KeepsTheNearest: (
        r"acme_gaps, frame 'synthetic 1', built after other frames: 'acme_nearest' differs in \d+ of 12 numbers, first "
        r"at \[\d+\]: [\d.]+, wanted [\d.]+; the filler keeps something of the frame before"
    ),
    SaysWhole: r"where fill\(\) was given used memory: 'acme_nearest' differs in .*: 77.0, wanted .*says \"whole\"",
    SaysOwn: r"a batch of 6 frames: 'acme_nearest' of frame \d \('.*'\) differs in .*: clear what `written` says was",
    SaysNonsense: r"'acme_nearest': clearing\(\) must be one of before, whole, own, got 'never'",
    SharesScratch: r"built while another frame was: 'acme_nearest' differs in .*; frames that are built at once share",
    KeepsOut: r"the memory of 'small tensors' is still in use .* must not keep `out`",
    WritesLater: r"'acme_nearest' built alone: 'acme_nearest' differs in 12 of 12 numbers, first at \[0\]: ",
    WritesToTheCloud: r"built beside lidar_points: 'lidar_points' differs in .*; the filler writes to what a stage",
    Random: r"'acme_nearest' differs in|is not the same every time",
    NeedsPoints: (
        r"frame 'no lidar', built for the first time: raised .*ValueError: zero-size array .*; a frame without "
        r"something gives what the feature says of an empty one, or raises perceptum.inputs.MissingRecord"
    ),
    Exits: r"frame 'synthetic 0', built for the first time: raised .*SystemExit: no licence; ",
    NotFinite: r"'acme_nearest' holds nan; what is not finite is dropped and counted in `dropped`",
    WrongName: r"sizes\(\) gives 'gaps', which no feature of the group has in its shape; they have S, num_gaps",
    WrongCount: r"'acme_num_gaps' counts \d+ rows, 'acme_gaps' has \d+",
    OverTheEnd: r"with 'acme_gaps' fixed to \(\d+,\) by the spec: raised .*ValueError: could not broadcast",
    ForgetsWhatIsWanted: r"built in another order: 'acme_nearest' differs in .*; what a tensor holds must not depend",
    CountsThreads: r"built with 2 threads: 'acme_nearest' differs in 1?\d of 12 numbers.*; what threads do",
    UsesItUp: r"asked for twice in one spec: 'acme_nearest' differs in .*; fill\(\) must leave what run\(\) has",
    SharesWork: r"filled side by side with another tensor of the same: 'acme_nearest' .*; what fill\(\) works with",
    SometimesRefuses: r"raised MissingRecord: no more, but a fresh builder gave tensors",
    StridedByName: r"acme_gaps: the filler's `strided` names \['acme_gap'\], not its features",
}


@pytest.mark.parametrize("filler", MISTAKES, ids=lambda filler: filler.__name__)
def test_a_fillers_mistake_is_said_in_words(filler):
    with pytest.raises(AssertionError, match=MISTAKES[filler]) as caught:
        check_feature(group(filler))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (group(params=Beyond()), r"sizes\(\) gives \d+ as 'num_gaps', cap\(\) says at most 1"),
        (
            group(acme_nearest=feature("acme_nearest", ("S",), "float32", "flag", fill=100.0, frame="reference")),
            r"'acme_nearest' holds [\d.]+, its unit is 'flag': 1 for yes, 0 for no",
        ),
    ],
    ids=["a size over its cap", "a unit that does not suit"],
)
def test_what_a_group_declares_wrongly_is_said_in_words(change, said):
    with pytest.raises(AssertionError, match=said):
        check_feature(change)


def test_a_filler_that_only_this_function_knows_cannot_go_to_workers():
    class Inner(Gaps):
        pass

    with pytest.raises(AssertionError, match=r"acme_gaps: a builder of it cannot be pickled, for workers: "):
        check_feature(group(Inner))


class CellCount(Filler):
    """Uses the cells that voxels use, and clears for itself."""

    group = "acme_cells"

    def __init__(self, params, stages):
        super().__init__()
        self.title = "cell count"
        self.grid = params.grid
        self.cells = stages.share(Cells, params.cloud(), params.grid, False)
        self.needs = (self.cells,)

    def run(self, sample):
        ids = self.cells.ids
        self.counts = np.bincount(ids[ids >= 0], minlength=self.grid.cells)

    def clearing(self, feature):
        return "whole"

    def fill(self, feature, out, written):
        out[...] = self.counts.reshape(out.shape)


class CellParams(CloudParams, frozen=True, kw_only=True):
    grid: Grid = Grid(range=(-24, -24, -3, 24, 24, 3), voxel=(4, 4, 6))

    def dims(self):
        x, y, z = self.grid.size
        return {"Z": z, "Y": y, "X": x}


def test_cells_can_be_shared_and_are_what_voxels_use():
    cells = feature("acme_cells", ("Z", "Y", "X"), "int32", "count", frame="reference")
    check_feature(Group(name="acme_cells", params=CellParams(), features=(cells,), filler=CellCount))


def test_frames_of_ones_own_are_checked_too():
    class Picky(Gaps):
        def run(self, sample):
            super().run(sample)
            assert sample.frame.log.source.name != "mine", "not mine"

    frame = memory_log(times_ns=[5], name="mine")[0]
    with pytest.raises(AssertionError, match="not mine"):
        check_feature(group(Picky), frames=[frame])


class NeedsASonar(Gaps):
    def run(self, sample):
        super().run(sample)
        if sample.frame.log.source.name != "with a sonar":
            raise MissingRecord("no sonar")


def test_a_feature_that_no_frame_suits_is_not_passed_unchecked():
    with pytest.raises(AssertionError) as caught:
        check_feature(group(NeedsASonar))
    assert str(caught.value) == (
        "acme_gaps: none of the 32 frames could be built, so nothing was checked; give `frames` that have what it "
        "needs (raised MissingRecord: no sonar)"
    )
    check_feature(group(NeedsASonar), frames=[memory_log(times_ns=[5], name="with a sonar")[0]])


def test_a_schema_of_ones_own_and_unknown_names():
    schema = Schema("mine", "1", (*canonical().groups, group()))
    check_feature("acme_gaps", "coarse", schema=schema)
    with pytest.raises(SpecError, match="no feature 'acme_gaps'"):
        check_feature("acme_gaps")
    with pytest.raises(SpecError, match="no preset 'fine'"):
        check_feature(group(), "fine")


def test_hostile_frames_are_frames():
    frames = hostile_frames()
    assert frames["no lidar"].lidar is None
    assert len(frames["a sweep without points"].lidar) == 0
    assert np.isnan(frames["points of NaN"].lidar.x).all()
