"""A cache of tensors changes no byte, and gives again what nothing has changed: no more, and no less."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

import perceptum as pc
from perceptum.builders import Augment, Draw, Filler, InputBuilder, Paste, Stage
from perceptum.builders.cache import TensorCache, code
from perceptum.builders.cache.folder import CacheFolder
from perceptum.datasets import memory_log
from perceptum.features import Feature, Group, Params, SpecError, canonical
from perceptum.inputs import Labels, Log, LogError, MissingRecord, Poses

from .cameras import picture
from .objects import database, spread

ROOT = Path(__file__).parents[2]
SMALL = {"frames": 6, "seed": 0, "beams": 8, "azimuth_steps": 90, "image_size": (40, 24)}
LIDAR = ["lidar_voxels", "lidar_voxel_coords", "lidar_voxel_num_points"]
NAMES = [*LIDAR, "camera_images", "camera_intrinsics", "map_raster", "ego_motion", "gt_boxes", "radar_points"]
T0 = 1_700_000_000_000_000_000
MS = 1_000_000


def small() -> Log:
    return pc.open_log("synthetic", **SMALL)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "tensors"


def built(builder, frame, **options):
    tensors = builder.build(frame, **options)
    return {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in tensors.items()}, tensors.dropped


def bundles(folder):
    return sorted(folder.rglob("*.tensors"))


def test_what_was_built_is_found_again_and_nothing_is_read(folder):
    plain, cached = (InputBuilder(NAMES, training=True, **options) for options in ({}, {"cache": folder}))
    wanted = built(plain, small()[1])
    assert built(cached, small()[1]) == wanted
    log = small()
    assert built(cached, log[1]) == wanted
    assert not log.reads
    assert (cached.cache.stats().hits, cached.cache.stats().misses) == (len(NAMES), len(NAMES))
    # another builder, with another memory, in another order
    again = InputBuilder(NAMES[::-1], training=True, cache=TensorCache(folder), writable=True, threads=2)
    assert built(again, small()[1]) == wanted


def test_tensors_from_the_cache_are_one_s_own(folder):
    builder = InputBuilder(LIDAR, cache=folder, writable=True)
    builder.build(small()[0])
    first = builder.build(small()[0])
    kept = first["lidar_voxels"].copy()
    first["lidar_voxels"][...] = 7
    np.testing.assert_array_equal(builder.build(small()[0])["lidar_voxels"], kept)
    read_only = InputBuilder(LIDAR, cache=folder).build(small()[0])
    assert not read_only["lidar_voxels"].flags.writeable
    assert all(array.ctypes.data % 64 == 0 for array in (*first.values(), *read_only.values()))


def test_tensors_from_the_cache_hold_no_file_open(folder):
    builder, log = InputBuilder(["lidar_points"], cache=folder), small()
    for frame in log:
        builder.build(frame)
    open_before = len(os.listdir("/proc/self/fd"))
    held = [builder.build(frame) for frame in log]
    assert builder.cache.stats().hits == len(held) == 6
    # what was found last may be read from its file
    assert len(os.listdir("/proc/self/fd")) <= open_before + 1


@pytest.mark.parametrize("threads", [1, 3])
def test_batches_are_the_same_whatever_was_found(folder, threads):
    rows = [*NAMES, "lidar_points", "gt_labels"]
    params = {"image": {"cameras": ["CAM_FRONT", "CAM_BACK"], "resize": [24, 40]}}
    plain = InputBuilder(rows, training=True, params=params)
    cached = InputBuilder(rows, training=True, params=params, cache=folder, threads=threads)
    log = small()
    cached.build(log[1])
    for frames in ([0, 1, 2], [1, 3, 0], [2, 1, 3], [3], [0, 4], [5, 1]):
        batch, wanted = (one.build_batch([small()[k] for k in frames]) for one in (cached, plain))
        assert list(batch) == list(wanted)
        for name, array in wanted.items():
            assert (batch[name].dtype, batch[name].shape) == (array.dtype, array.shape)
            assert batch[name].tobytes() == array.tobytes(), name
        assert batch.dropped == wanted.dropped
    assert cached.cache.stats().hits > 0


def test_only_what_changed_is_built_over_a_thousand_frames_and_three_specs(folder):
    times = T0 + 100 * MS * np.arange(1000)
    log = memory_log(times_ns=times, poses=Poses.standing([times]))
    specs = [
        {"ego_motion": {"num_past": 2}},
        {"ego_motion": {"num_past": 3}},
        {"ego_motion": {"num_past": 3}},
    ]
    runs = []
    for number, params in enumerate(specs):
        rows = ["ego_motion", "reference_stamp", "ego_pose"][: 3 if number == 2 else 2]
        builder = InputBuilder(rows, params=params, cache=folder)
        before = builder.cache.stats().hits, builder.cache.stats().misses
        for frame in log:
            builder.build(frame)
        after = builder.cache.stats()
        runs.append((after.hits - before[0], after.misses - before[1]))
    # a changed row is built for each frame, its neighbours for none; a new row neither
    assert runs == [(0, 2000), (1000, 1000), (2000, 1000)]


def test_stages_that_nothing_needs_do_not_run(folder):
    InputBuilder(LIDAR, cache=folder).build(small()[1])
    builder = InputBuilder([*LIDAR, "ego_motion"], cache=folder)
    log = small()
    tensors = builder.build(log[1])
    assert not log.reads
    assert "cache" in tensors.times_s
    assert not [name for name in tensors.times_s if name.startswith("cloud")]
    found = {t.name: t.cached for t in builder.explain().tensors}
    assert found == dict.fromkeys(LIDAR, True) | {"ego_motion": False}
    assert "from the cache" in str(builder.explain())
    assert str(folder) in str(builder.explain())


def test_one_row_of_a_group_may_be_missing(folder):
    InputBuilder(LIDAR[:2], cache=folder).build(small()[1])
    builder = InputBuilder(LIDAR, cache=folder)
    assert built(builder, small()[1]) == built(InputBuilder(LIDAR), small()[1])
    assert (builder.cache.stats().hits, builder.cache.stats().misses) == (2, 3)


def test_dtypes_and_fixed_sizes_are_apart(folder):
    def rows(dtype, most):
        spec = InputBuilder(["camera_images", "lidar_points"]).spec.rows
        images, points = ({"name": r.name, "dtype": r.dtype, "shape": list(r.shape)} for r in spec)
        return [images | {"dtype": dtype}, points | {"shape": [most, points["shape"][1]]}]

    for dtype, most in (("float32", 100), ("uint8", 100), ("uint8", 50), ("float32", 100)):
        params = {"camera_images": {"norm": None}}
        plain, cached = (InputBuilder(rows(dtype, most), params=params, cache=at) for at in (None, folder))
        assert built(cached, small()[2]) == built(plain, small()[2])
    assert (cached.cache.stats().hits, cached.cache.stats().misses) == (4, 4)


def test_rows_of_other_names_share_what_is_the_same(folder):
    InputBuilder(["ego_motion"], cache=folder).build(small()[1])
    builder = InputBuilder({"a": ["ego_motion__mine"], "b": ["ego_motion__yours", "ego_motion"]}, cache=folder)
    builder.build(small()[1])
    assert (builder.cache.stats().hits, builder.cache.stats().misses) == (3, 1)


def test_records_in_memory_are_compared_themselves(folder, sweep_of):
    builder = InputBuilder(["lidar_points", "gt_boxes"], cache=folder, training=True)

    def log(x, length):
        labels = Labels(T0, np.array([[5.0, 0, 0, length, 2, 1, 0]]), np.array(["car"]), np.array(["a"]))
        return memory_log([sweep_of([[x, 2, 0.5]], sensor="top", time_ns=T0)], labels=[labels])

    plain = InputBuilder(["lidar_points", "gt_boxes"], training=True)
    for x, length in ((1, 4), (1, 4), (1, 3), (2, 3)):
        assert built(builder, log(x, length)[0]) == built(plain, log(x, length)[0])
    stats = builder.cache.stats().features
    assert (stats["lidar_points"].hits, stats["lidar_points"].misses) == (2, 2)
    assert (stats["gt_boxes"].hits, stats["gt_boxes"].misses) == (2, 2)


def test_the_log_s_options_count_where_they_are_asked(folder, sweep_of):
    def log(**options):
        sweeps = [sweep_of([[1, 2, 3]], sensor="top", time_ns=T0)]
        source = memory_log(sweeps, cameras=[picture("front", T0 + 30 * MS)]).source
        return Log(source, **options)

    builder = InputBuilder(["lidar_points", "camera_valid"], cache=folder)
    plain = InputBuilder(["lidar_points", "camera_valid"])
    for tolerance_ms in (60, 20, 60):
        options = {"camera_tolerance_ns": tolerance_ms * MS}
        assert built(builder, log(**options)[0]) == built(plain, log(**options)[0])
    stats = builder.cache.stats().features
    assert stats["lidar_points"].misses == 1
    # kept twice, and the right one is found
    assert (stats["camera_valid"].hits, stats["camera_valid"].misses) == (1, 2)


def test_a_broken_record_that_is_skipped_is_tried_again(folder):
    def log(encoded):
        broken = picture("front", T0)
        object.__setattr__(broken, "read", lambda: encoded)
        return Log(memory_log(cameras=[broken], times_ns=[T0]).source, on_error="skip")

    builder = InputBuilder(["camera_images"], cache=folder)
    whole = picture("front", T0).encoded
    assert not builder.build(log(whole[:50])[0])["camera_images"].any()
    assert builder.build(log(whole)[0])["camera_images"].any()
    assert not builder.build(log(whole[:50])[0])["camera_images"].any()
    assert builder.cache.stats().left_out


def test_what_a_draw_changes_is_built_and_the_rest_is_found(folder):
    names = [*LIDAR, "camera_images", "ego_motion", "gt_boxes"]
    augment = Augment(flip_y=0.5, rotate=0.3, drop_points=0.1)
    plain = InputBuilder(names, training=True, augment=augment)
    cached = InputBuilder(names, training=True, augment=augment, cache=folder)
    InputBuilder(names, training=True, cache=folder).build(small()[1])
    for draw in (None, Draw(1, 0, 0), Draw(1, 0, 1), None):
        assert built(cached, small()[1], draw=draw) == built(plain, small()[1], draw=draw)
    stats = cached.cache.stats()
    # pictures stay what they are, and are found each time
    assert (stats.features["camera_images"].hits, stats.features["camera_images"].misses) == (4, 1)
    assert stats.left_out["a draw changes it"] >= 2 * len(LIDAR)
    assert stats.features["lidar_voxels"].misses == 1


def test_pasted_objects_are_not_taken_for_the_frame_s_own(folder, tmp_path):
    objects = database(tmp_path / "objects", spread(60), points=[20] * 60)
    names = ["lidar_points", "gt_boxes", "ego_motion"]
    augment = Augment(paste=Paste(database=objects, counts={"car": 15}, up_to=False, tries=4, rotate=0.6))
    plain = InputBuilder(names, training=True, augment=augment)
    cached = InputBuilder(names, training=True, augment=augment, cache=folder)
    for draw in (None, Draw(1, 0, 0), None, Draw(1, 0, 2)):
        wanted = built(plain, small()[1], draw=draw)
        assert (wanted == built(plain, small()[1])) == (draw is None)
        assert built(cached, small()[1], draw=draw) == wanted
    assert cached.cache.stats().features["ego_motion"].hits == 3
    assert cached.cache.stats().features["lidar_points"].hits == 1


def test_a_pickled_builder_has_the_cache(folder):
    builder = InputBuilder(["ego_motion"], cache=TensorCache(folder, most_bytes=10**9, check="always", pictures=True))
    other = pickle.loads(pickle.dumps(builder))
    assert other.cache == builder.cache
    assert other.plan == builder.plan


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"folder": 3}, "a cache's folder must be a path, got 3"),
        ({"most_bytes": -1}, "a cache's most_bytes must be 0 or more, got -1"),
        ({"most_bytes": "9GB"}, "a cache's most_bytes must be a number of bytes, got '9GB'"),
        ({"check": "often"}, "a cache's check must be always, first, never, got 'often'"),
        ({"pictures": "all"}, "a cache's pictures must be True or False, got 'all'"),
    ],
)
def test_bad_options_are_refused(options, said):
    with pytest.raises(SpecError) as error:
        TensorCache(**options)
    assert str(error.value) == said


def test_a_cache_that_is_none_is_refused():
    with pytest.raises(SpecError, match="cache must be a TensorCache or a path, got an int"):
        InputBuilder(["ego_motion"], cache=7)


@pytest.mark.parametrize("harm", ["cut", "flipped", "head", "emptied"])
def test_a_broken_bundle_is_reported_and_built_again(folder, caplog, harm):
    wanted = built(InputBuilder(LIDAR), small()[1])
    InputBuilder(LIDAR, cache=folder).build(small()[1])
    (path,) = bundles(folder)
    whole = bytearray(path.read_bytes())
    if harm in ("flipped", "head"):
        whole[-9 if harm == "flipped" else 40] ^= 4
    path.write_bytes({"cut": whole[:-10], "emptied": b""}.get(harm, whole))
    cached = InputBuilder(LIDAR, cache=TensorCache(folder, check="always"))
    for _ in range(2):
        assert built(cached, small()[1]) == wanted
    assert len(caplog.messages) == 1
    assert "it is removed, and built again" in caplog.text
    assert bundles(folder) not in ([path], [])
    assert cached.cache.stats().broken == 1


def test_where_nothing_can_be_written_building_goes_on(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    builder = InputBuilder(["ego_motion"], cache=tmp_path / "file" / "tensors")
    wanted = built(InputBuilder(["ego_motion"]), small()[1])
    for _ in range(3):
        assert built(builder, small()[1]) == wanted
    assert len(caplog.messages) == 1
    assert "tensors cannot be kept (Not a directory); they are built each time" in caplog.text


def test_the_folder_stays_within_its_limit_while_others_hold_tensors(folder):
    size = InputBuilder(["map_raster"]).build(small()[0])["map_raster"].nbytes
    builder = InputBuilder(["map_raster"], cache=TensorCache(folder, most_bytes=2 * size + size // 2))
    builder.build(small()[0])
    held = builder.build(small()[0])["map_raster"]
    before = held.copy()
    for k in range(4):
        builder.build(small()[k])
    assert sum(one.nbytes for one in CacheFolder(folder).bundles()) <= 2 * size + size // 2
    np.testing.assert_array_equal(held, before)


def _build_all(folder, order):
    builder = InputBuilder(NAMES, training=True, cache=folder)
    log = small()
    return [built(builder, log[k]) for k in order]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_several_processes_write_one_folder_at_once(folder, method):
    builder = InputBuilder(NAMES, training=True)
    wanted = [built(builder, small()[k]) for k in range(4)]
    orders = [[0, 1, 2, 3], [0, 2, 1, 3]]
    with multiprocessing.get_context(method).Pool(2) as pool:
        found = pool.starmap(_build_all, [(folder, order) for order in orders])
    for order, all_built in zip(orders, found, strict=True):
        assert all_built == [wanted[k] for k in order]
    assert built(InputBuilder(NAMES, training=True, cache=folder), small()[3]) == wanted[3]


def test_stages_that_keep_what_they_asked_of_a_log_depend_on_it_still(folder, sweep_of):
    """The classes of points are asked for once, and known for the frames that follow."""

    class Codes(Stage):
        known = None

        def run(self, sample):
            if self.known is None:
                self.known = sorted(sample.frame.log.point_classes)

    class Known(Filler):
        def __init__(self, params, stages):
            super().__init__(params, stages)
            self.codes = stages.share(_codes)

        def fill(self, feature, out, written):
            out[...] = self.codes.known

    def _codes(stages):
        return Codes()

    schema = with_group("known_codes", Known, ("K",), {"K": 2})
    for codes in ([3, 5], [4, 6]):
        builder = InputBuilder(["known_codes"], schema=schema, cache=folder)
        for t in (0, 1):
            sweeps = [sweep_of([[1, 2, 3]], sensor="top", time_ns=T0 + k * MS) for k in (0, 1)]
            log = memory_log(sweeps, point_classes=dict.fromkeys(codes, "car"))
            assert builder.build(log[t])["known_codes"].tolist() == codes
        for t in (0, 1):
            assert builder.build(log[t])["known_codes"].tolist() == codes


def made_of_labels_and_pose(sample):
    """What a log keeps of two things, the first of which it keeps by itself too."""
    log = sample.frame.log

    def both():
        boxes = log.cache.get("boxes", lambda: len(log.labels(T0)))
        return boxes + 10 * log.world_from_ego(T0)[0, 3]

    return log.cache.get("both", both)


def test_what_a_log_keeps_depends_on_all_that_was_asked_while_it_was_made(folder):
    class Both(Filler):
        def run(self, sample):
            self.found = made_of_labels_and_pose(sample)

        def fill(self, feature, out, written):
            out[...] = self.found

    def log(boxes, x):
        kept = np.tile([5.0, 0, 0, 4, 2, 1, 0], (boxes, 1))
        labels = Labels(T0, kept, np.array(["car"] * boxes), np.array([str(k) for k in range(boxes)]))
        poses = Poses(np.array([T0]), np.array([[1.0, 0, 0, 0]]), np.array([[x, 0.0, 0.0]]))
        return memory_log(times_ns=[T0, T0 + MS], labels=[labels], poses=poses)

    builder = InputBuilder(["both"], schema=with_group("both", Both, ("K",), {"K": 1}), cache=folder)
    for boxes, x in ((1, 3), (1, 3), (2, 3), (1, 4), (2, 3)):
        # the second frame finds with the log what was made for the first one
        assert [builder.build(frame)["both"].item() for frame in log(boxes, x)] == [boxes + 10 * x] * 2
    assert (builder.cache.stats().hits, builder.cache.stats().misses) == (4, 6)


def test_what_a_stage_takes_from_the_reader_counts(folder):
    class Sequential(Filler):
        def run(self, sample):
            self.found = sample.frame.log.source.sequential

        def fill(self, feature, out, written):
            out[...] = self.found

    builder = InputBuilder(["moving"], schema=with_group("moving", Sequential, ("K",), {"K": 1}), cache=folder)
    for sequential in (True, False, False, True):
        log = memory_log(times_ns=[T0], sequential=sequential)
        assert builder.build(log[0])["moving"].item() == sequential
    assert (builder.cache.stats().hits, builder.cache.stats().misses) == (2, 2)


def test_the_time_of_a_frame_counts(folder):
    cached, plain = InputBuilder(["reference_stamp"], cache=folder), InputBuilder(["reference_stamp"])
    for time_ns in (T0, T0 + MS, T0 + MS, T0):
        log = memory_log(times_ns=[time_ns])
        assert built(cached, log[0]) == built(plain, log[0])
    assert (cached.cache.stats().hits, cached.cache.stats().misses) == (2, 2)


def test_what_is_not_known_of_one_thing_is_not_said_of_what_a_log_keeps_besides(folder):
    class Table(Filler):
        def run(self, sample):
            if sample.frame.index == 0:
                sample.frame.log.or_skip("a record", broken)
            self.found = sample.frame.log.cache.get("table", lambda: 7)

        def fill(self, feature, out, written):
            out[...] = self.found

    def broken():
        raise MissingRecord("it is broken")

    log = Log(memory_log(times_ns=[T0, T0 + MS]).source, on_error="skip")
    builder = InputBuilder(["table"], schema=with_group("table", Table, ("K",), {"K": 1}), cache=folder)
    for index in (0, 1, 1):
        assert builder.build(log[index])["table"].item() == 7
    assert builder.cache.stats().left_out == {"a record may be broken": 1}
    assert (builder.cache.stats().hits, builder.cache.stats().misses) == (1, 1)


class SizeParams(Params, frozen=True, kw_only=True):
    k: int = 1

    def dims(self):
        return {"K": self.k}


def with_group(name, filler, shape, dims):
    feature = Feature(
        name=name, dtypes=("float32",), shape=shape, units="none", frame="none", prose="Made up for a test."
    )
    params = SizeParams(k=dims["K"])
    group = Group(name=name, params=params, features=(feature,), filler=filler)
    own = canonical()
    return type(own)(own.name, own.version, (*own.groups, group))


PLUG_IN = """
from perceptum.builders import Filler
from {package}.weights import WEIGHT


class Weighed(Filler):
    SCALE = 1

    def times(self, by=1):
        return self.SCALE * by

    def fill(self, feature, out, written):
        from {package} import late

        out[...] = self.times() * (WEIGHT + late.MORE)
"""


@pytest.fixture
def plug_in(tmp_path, monkeypatch):
    """plug_in(weight, ...): the filler of a package with these sources, as a new process has it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / "weighing"
    package.mkdir()
    (package / "__init__.py").touch()

    def write(weight=1, more=0, aside=0):
        texts = {
            "filler": PLUG_IN.format(package="weighing"),
            "weights": f"WEIGHT = {weight}\n",
            "late": f"MORE = {more}\n",
            "aside": f"ASIDE = {aside}\n",
        }
        for name, text in texts.items():
            (package / f"{name}.py").write_text(text)
        for name in [name for name in sys.modules if name.partition(".")[0] == "weighing"]:
            del sys.modules[name]
        forget_code()
        import importlib

        importlib.invalidate_caches()
        return importlib.import_module("weighing.filler").Weighed

    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    yield write
    sys.dont_write_bytecode = before
    forget_code()


def forget_code():
    for value in vars(code).values():
        if hasattr(value, "cache_clear"):
            value.cache_clear()


def test_edited_code_builds_again_what_runs_it_and_nothing_else(folder, plug_in):
    def run(**sources):
        schema = with_group("weighed", plug_in(**sources), ("K",), {"K": 1})
        builder = InputBuilder(["weighed", "ego_motion"], schema=schema, cache=folder)
        before = {name: one.misses for name, one in builder.cache.stats().features.items()}
        value = builder.build(small()[1])["weighed"].item()
        after = builder.cache.stats().features
        return value, [name for name in after if after[name].misses > before.get(name, 0)]

    assert run() == (1, ["weighed", "ego_motion"])
    assert run() == (1, [])
    # a module beside it, which it does not import
    assert run(aside=1) == (1, [])
    assert run(weight=2) == (2, ["weighed"])
    # imported inside a function
    assert run(weight=2, more=5) == (7, ["weighed"])
    assert run() == (1, [])


def test_a_kernel_is_code_of_those_that_run_it_alone():
    from perceptum.builders.camera.images import CameraImages
    from perceptum.builders.lidar.pillars import Pillars
    from perceptum.builders.lidar.voxels import Voxels
    from perceptum.builders.map.raster import MapRaster

    of = {kind: code.code_of([kind]).modules for kind in (Voxels, Pillars, CameraImages, MapRaster)}
    kernels = "perceptum.builders.kernels"
    assert f"{kernels}.voxels" in of[Voxels] & of[Pillars]
    assert f"{kernels}.pillars" in of[Pillars] - of[Voxels]
    assert not {f"{kernels}.voxels", f"{kernels}.load", "perceptum.builders.lidar.cloud"} & of[CameraImages]
    assert f"{kernels}.picture.sampling" in of[CameraImages] - of[MapRaster]
    assert f"{kernels}.map.raster" in of[MapRaster] - of[Voxels]
    # what decides nothing of how tensors are built
    assert not [
        name for names in of.values() for name in names if "neuropod" in name or name == "perceptum.builders.plan"
    ]


def test_imports_are_read_from_lines_as_from_the_syntax_tree():
    ours = [
        path
        for folder in ("inputs", "builders", "features", "neuropod", "datasets", "src/perceptum")
        for path in (ROOT / folder).rglob("*.py")
    ]
    assert len(ours) > 500
    for path in ours:
        source = path.read_text(encoding="utf-8")
        assert set(code._imports_of_lines(source)) == set(code._imports_of_tree(source)), path


def test_code_that_changed_after_it_was_loaded_is_not_trusted(plug_in, folder, monkeypatch, tmp_path):
    kind = plug_in()
    monkeypatch.setattr(code, "_BEGAN_S", 0.0)
    forget_code()
    source = tmp_path / "weighing" / "filler.py"
    source.write_text(source.read_text().replace("(WEIGHT + late.MORE)", "3"))
    with pytest.raises(code.UnknownCode, match="was changed after it was loaded; begin a new process"):
        code.code_of([kind])
    builder = InputBuilder(["weighed"], schema=with_group("weighed", kind, ("K",), {"K": 1}), cache=folder)
    for _ in range(2):
        assert builder.build(small()[1])["weighed"].item() == 1
    assert builder.cache.stats().left_out["its code is not known"] == 2


@pytest.mark.parametrize(
    ("module", "before", "after"),
    [("weights", "WEIGHT = 1", "WEIGHT = 2"), ("filler", "SCALE = 1", "SCALE = 2"), ("filler", "by=1", "by=3")],
)
def test_a_number_that_changed_after_it_was_loaded_is_not_trusted(
    plug_in, monkeypatch, tmp_path, module, before, after
):
    kind = plug_in()
    monkeypatch.setattr(code, "_BEGAN_S", 0.0)
    forget_code()
    code.code_of([kind])
    forget_code()
    source = tmp_path / "weighing" / f"{module}.py"
    source.write_text(source.read_text().replace(before, after))
    with pytest.raises(code.UnknownCode, match=f"{module}.py was changed after it was loaded; begin a new process"):
        code.code_of([kind])


def test_what_a_stage_asks_of_a_reader_itself_is_not_kept(folder):
    class Nosy(Filler):
        def run(self, sample):
            source = sample.frame.log.source
            self.found = len(source.read_lidar("LIDAR_TOP", 0))

        def fill(self, feature, out, written):
            out[...] = self.found

    builder = InputBuilder(["nosy"], schema=with_group("nosy", Nosy, ("K",), {"K": 1}), cache=folder)
    for _ in range(2):
        builder.build(small()[1])
    assert builder.cache.stats().left_out == {"it asks a reader to 'read_lidar'": 2}


def test_errors_leave_nothing_behind(folder):
    builder = InputBuilder(["lidar_points"], params={"lidar_points": {"sensors": ["rear"]}}, cache=folder)
    for _ in range(2):
        with pytest.raises(LogError):
            builder.build(small()[0])
    assert not bundles(folder)


def test_the_default_folder_is_in_the_user_s_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("PERCEPTUM_CACHE", str(tmp_path))
    assert TensorCache().folder == tmp_path / "tensors"
    assert TensorCache("~/x").folder == Path("~/x").expanduser()
