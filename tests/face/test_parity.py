"""`perceptum parity`: a package is served what training saw, to the byte, or the difference is shown."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest

import perceptum as pc
from perceptum.errors import NeuropodError
from perceptum.neuropod import create_placeholder_neuropod
from perceptum.neuropod.package.metadata import Metadata
from perceptum.parity import compare_with_training, frames_to_compare, recorded_training

SMALL = "synthetic:frames=4,beams=16,azimuth_steps=300"
VOXELS = {"name": "lidar_voxels", "dtype": "float32", "shape": ["n", 32, 4], "params": "pointpillars_kitti"}
POSE = {"name": "ego_pose", "dtype": "float64", "shape": [4, 4]}
OUT = [{"name": "out", "dtype": "float32", "shape": [3]}]


class Placeholder:
    """What stands for a model: nothing of it is run here."""

    answer = None
    source: dict = {}  # noqa: RUF012
    create = staticmethod(create_placeholder_neuropod)


@pytest.fixture(scope="module")
def log():
    return pc.open_log(SMALL)


@pytest.fixture(scope="module")
def packed(once, log):
    """package(name): "seen" with the frames of training, "rows" without, "testing" with the values of testing instead,
    "plain" as other packagers make it."""

    def make(folder):
        training = pc.InputBuilder([VOXELS, POSE], training=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("perceptum.packing.packable", lambda *_: Placeholder)
            # nothing is run: a process takes seconds
            patch.setattr("perceptum.packing._tested", lambda *_: {})
            patch.setattr("perceptum.problems.problem._zeros", lambda _: None)
            for name, spec, seen in (
                ("seen", training, log),
                ("rows", training, None),
                ("testing", [VOXELS, POSE], pc.Loader(log, [VOXELS, POSE])),
            ):
                pc.pack(None, spec, folder / f"{name}.neuropod", outputs=OUT, seen=seen)
        create_placeholder_neuropod(
            neuropod_path=folder / "plain.neuropod",
            model_name="plain",
            input_spec=[VOXELS, POSE],
            output_spec=OUT,
        )

    folder = once("packages for parity", make)
    return lambda name: folder / f"{name}.neuropod"


def compared(path, frames, training=...):
    with pc.load_neuropod(path) as model:
        training = recorded_training(path) if training is ... else training
        return compare_with_training(model, training, frames)


def test_a_package_is_served_what_training_saw(packed, log):
    found = compared(packed("seen"), log)
    assert found.equal
    assert (found.frames, found.recorded, found.in_package) == (4, 3, 3)
    assert found.tensors == ("lidar_voxels", "ego_pose")


def test_it_is_so_in_a_process_of_its_own_too(packed, log):
    path = packed("seen")
    with pc.load_neuropod(path, isolate=True) as model:
        assert compare_with_training(model, recorded_training(path), log.frames(0, 2)).equal


def test_what_a_loader_delivers_is_what_the_package_is_given(packed, log):
    with pc.load_neuropod(packed("seen")) as model:
        builder = pc.InputBuilder(model)
        samples = pc.Loader(log, [VOXELS, POSE], batch_size=None)
        for frame, sample in zip(log, samples, strict=True):
            served = builder.build(frame)
            assert all(served[name].tobytes() == sample[name].tobytes() for name in ("lidar_voxels", "ego_pose"))


def test_a_recorded_frame_is_found_in_a_store_of_its_log(packed):
    stored = pc.open_log(SMALL)
    stored.source.dataset = "store"  # which keeps the log's name, the ids and the times
    found = compared(packed("seen"), stored)
    assert found.equal
    assert found.recorded == 3


def test_the_frames_that_are_recorded_are_compared_and_a_few_more(packed):
    training = recorded_training(packed("seen"))
    many = pc.open_dataset("synthetic:frames=100,beams=16,azimuth_steps=300")
    spread = [0, 11, 22, 33, 44, 55, 66, 77, 88, 99]
    assert frames_to_compare(many, None) == spread
    assert frames_to_compare(many, training) == sorted({*spread, 0, 1, 3})


def test_another_recording_is_told_from_another_way_of_building(packed, log):
    other = pc.open_log("synthetic:frames=4,beams=16,azimuth_steps=320")
    found = compared(packed("seen"), [other[0]])
    assert [d.tensor for d in found.differences] == ["lidar_voxels"]
    assert found.differences[0].compared_with == "record"
    assert found.differences[0].what.endswith("this log's records are not those of training: lidar/LIDAR_TOP")

    training = recorded_training(packed("seen"))
    frame = training.frames[0]
    changed = {**frame.tensors, "ego_pose": msgspec.structs.replace(frame.tensors["ego_pose"], digest="0" * 32)}
    earlier = msgspec.structs.replace(
        training, perceptum="0.0.9", frames=(msgspec.structs.replace(frame, tensors=changed),)
    )
    found = compared(packed("seen"), [log[0]], earlier)
    assert not found.equal
    assert [d.what for d in found.differences] == [
        "has other bytes than training saw; the frame's own records are the same; "
        f"perceptum 0.0.9 built it then, {pc.__version__} now"
    ]


def test_values_of_testing_are_not_what_training_saw(packed, log):
    found = compared(packed("testing"), [log[0]])
    assert found.rows == {"lidar_voxels": ["params.max_voxels: training 16000, served 40000"]}
    # so few points make no more voxels than either: the tensors are equal, the package is not
    assert found.differing == 0
    assert not found.equal


def test_the_first_number_that_differs_is_shown(packed, log):
    training = recorded_training(packed("rows"))
    rows = [{**row, "params": {**(row.get("params") or {}), "intensity_mode": "raw"}} for row in training.rows[:1]]
    found = compared(packed("rows"), [log[0]], msgspec.structs.replace(training, rows=[*rows, training.rows[1]]))
    (difference,) = found.differences
    assert difference.compared_with == "training builder"
    assert difference.first == (0, 0, 3)
    assert difference.trained == pytest.approx(255 * difference.served, rel=1e-5)
    assert difference.max_abs > 100
    assert found.rows["lidar_voxels"] == ["params.intensity_mode: training raw, served unit"]


def test_an_input_that_training_did_not_build_is_a_difference(packed, log):
    training = recorded_training(packed("rows"))
    found = compared(packed("rows"), [log[0]], msgspec.structs.replace(training, rows=training.rows[:1]))
    assert found.rows == {"ego_pose": ["the model takes 'ego_pose', which training did not build"]}
    assert not found.equal


def test_a_package_that_records_nothing_is_compared_with_a_training_builder(packed, log):
    found = compared(packed("plain"), [log[0]])
    assert found.trained_with is None
    assert found.rows == {"lidar_voxels": ["params.max_voxels: training 16000, served 40000"]}


def test_the_command_says_what_was_compared(packed, command):
    done = command("parity", packed("seen"), SMALL)
    assert done.status == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == "equal: 2 tensors of 4 frames, byte for byte"
    assert lines[1].startswith("compared: 3 frames with what training saw, recorded by perceptum")
    assert lines[1].endswith("; 1 other with what a builder makes of the same rows")
    found = command("parity", packed("rows"), SMALL, "--frames", "0:1", "--json").json
    assert (found["equal"], found["frames"], found["recorded"]) == (True, 1, 0)
    assert "perceptum.pack(..., seen=loader) records a few" in command("parity", packed("rows"), SMALL).out


def test_a_difference_is_status_1(packed, command):
    done = command("parity", packed("testing"), SMALL, "--frames", "1")
    assert done.status == 1
    assert "params.max_voxels: training 16000, served 40000" in done.out
    assert "DIFFERENT: 1 row of the spec, 0 tensors of 2" in done.out
    done = command("parity", packed("seen"), "synthetic:frames=4,beams=16,azimuth_steps=320", "--frames", "0", "--json")
    assert done.status == 1
    assert json.loads(done.out)["differing"] == 1


def test_inspect_shows_what_is_recorded_of_training(packed, command):
    found = command("inspect", packed("seen"), "--json").json["training"]
    assert found["frames"] == 3
    assert found["perceptum"] == pc.__version__
    assert command("inspect", packed("plain"), "--json").json["training"] is None
    assert "3 frames, built by perceptum" in command("inspect", packed("seen")).out


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ([], "training: Expected `object`, got `array`"),
        ({"rows": [], "fingerprint": 3, "perceptum": "1"}, "training: Expected `str`, got `int` - at `$.fingerprint`"),
        ({"rows": [{"name": "x"}], "fingerprint": "", "perceptum": "1"}, "spec row 'x' is missing dtype, shape"),
    ],
)
def test_a_record_that_cannot_be_read_says_what_is_wrong(training, message):
    with pytest.raises(NeuropodError) as error:
        Metadata.from_json(json.dumps({"format": 1, "training": training}).encode())
    assert message in str(error.value)


def test_not_a_number_is_like_itself(log):
    from perceptum.parity import _numbers

    a, b = np.array([np.nan, 1.0, 5.0]), np.array([np.nan, 1.5, np.nan])
    assert _numbers(a, b) == ((1,), 1.0, 1.5, np.inf)
    assert _numbers(a, a[:2]) == (None, None, None, None)
