"""`pc.pack`: one call from a trained model to a package, whatever the model is."""

from __future__ import annotations

import json
import zipfile
from contextlib import ExitStack
from pathlib import Path

import msgspec
import numpy as np
import pytest

import perceptum as pc
from perceptum.errors import NeuropodError, SpecError, UsageError
from perceptum.features import Row, canonical
from perceptum.inputs import Dataset
from perceptum.model_objects import packable
from perceptum.neuropod.package import test_data
from perceptum.neuropod.package.package import open_package
from perceptum.problems import Detection3d

torch = pytest.importorskip("torch")

VOXELS = {"name": "lidar_voxels", "dtype": "float32", "shape": ["n", 32, 4], "params": "pointpillars_kitti"}
BOXES = {"name": "gt_boxes", "dtype": "float32", "shape": ["n_boxes", 9], "params": {"frame": "lidar"}}
POSE = {"name": "ego_pose", "dtype": "float64", "shape": [4, 4]}
OUT = [{"name": "out", "dtype": "float32", "shape": ["n", 3]}]


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, lidar_voxels: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"out": self.dropout(self.linear(lidar_voxels.mean(1)))}


@pytest.fixture(scope="session")
def log():
    return pc.open_log("synthetic", frames=4, beams=16, azimuth_steps=300)


@pytest.fixture(scope="session")
def training_builder():
    return pc.InputBuilder([VOXELS, BOXES], training=True)


@pytest.fixture(scope="session")
def packed(once, log, training_builder):
    """A torch module in training, packed with what it was trained on."""

    def make(folder):
        model = Net()
        pc.pack(model, training_builder, folder / "net.neuropod", outputs=OUT, seen=log)
        assert model.training
        assert model.dropout.training

    return once("packed from training", make) / "net.neuropod"


def stored(path):
    with zipfile.ZipFile(path) as files:
        return json.loads(files.read("perceptum.json"))


def test_what_a_module_was_trained_on_is_what_its_package_takes(packed, training_builder):
    with pc.load_neuropod(packed) as model:
        assert model.platform == "torchscript"
        assert model.name == "net"
        # the target is left out, and the preset's value is that of training
        assert model.inputs == [row.to_dict() for row in training_builder.spec if row.name == "lidar_voxels"]
        assert model.inputs[0]["params"]["max_voxels"] == 16000


def test_the_schema_and_the_spec_of_training_are_recorded(packed, log):
    kept = stored(packed)
    schema = canonical()
    wanted = {"name": schema.name, "version": schema.version}
    assert {key: kept["schema"]["schema"][key] for key in wanted} == wanted
    training = kept["training"]
    assert [row["params"]["max_voxels"] for row in training["rows"]] == [16000]
    assert [frame["frame_id"] for frame in training["frames"]] == [log[0].id, log[1].id, log[3].id]
    assert {name for frame in training["frames"] for name in frame["tensors"]} == {"lidar_voxels"}


def test_a_frame_and_the_models_own_answer_are_the_test_data(packed, log):
    with pc.load_neuropod(packed) as model:
        tensors = pc.InputBuilder(model).build(log[0])
        answer = model.infer(tensors)["out"]
    package = open_package(packed)
    data = test_data.load(package.read(test_data.FILE_NAME))
    package.files.close()
    np.testing.assert_array_equal(data["test_input"]["lidar_voxels"], tensors["lidar_voxels"])
    np.testing.assert_allclose(data["test_output"]["out"], answer, rtol=1e-5)


def test_a_parameter_that_changed_since_training_is_refused_when_the_package_is_loaded(packed):
    other = canonical().with_params("other", "9", {"lidar_voxels": {"nonfinite_features": "drop"}})
    with pytest.raises(NeuropodError, match=r"lidar_voxels.*nonfinite_features was zero, is drop"):
        pc.load_neuropod(packed, schema=other)


def test_a_feature_that_is_defined_anew_is_refused_when_the_package_is_loaded(packed):
    schema = canonical()
    group = schema.group("lidar_voxels")
    anew = tuple(msgspec.structs.replace(f, definition=f.definition + 1) for f in group.features)
    groups = tuple(msgspec.structs.replace(g, features=anew) if g is group else g for g in schema.groups)
    with pytest.raises(NeuropodError, match=r"'lidar_voxels' was packed under schema .*: definition was 1, is 2"):
        pc.load_neuropod(packed, schema=type(schema)(schema.name, "9.0.0", groups))


def test_a_module_can_be_exported_instead_with_every_size_left_open():
    row = Row.of({"name": "lidar_voxels", "dtype": "float32", "shape": ["n", 32, 4]})
    with ExitStack() as until:
        way = packable(Net(), "torch_export", [row], {"lidar_voxels": np.ones((7, 32, 4), np.float32)}, until)
    found = way.source["program"].module()(lidar_voxels=torch.ones(3, 32, 4))["out"]
    np.testing.assert_allclose(
        found.detach(), way.answer({"lidar_voxels": np.ones((3, 32, 4), np.float32)})["out"], rtol=1e-6
    )


def test_parameters_of_a_schema_of_ones_own_go_with_the_rows(tmp_path, log, monkeypatch):
    own = canonical().with_params("own", "1", {"lidar_voxels": {"max_voxels": 50}})
    builder = pc.InputBuilder(["lidar_voxels"], schema=own)
    seen_by = {}
    monkeypatch.setattr("perceptum.packing.packable", lambda *_: seen_by["way"])

    class Way:
        answer = None
        source = {}  # noqa: RUF012

        @staticmethod
        def create(**given):
            seen_by.update(given)

    seen_by["way"] = Way
    pc.pack(None, builder, tmp_path / "own.neuropod", outputs=OUT, seen=log[0])
    (row,) = seen_by["input_spec"]
    served = pc.InputBuilder([row]).build(log[0])["lidar_voxels"]
    np.testing.assert_array_equal(served, builder.build(log[0])["lidar_voxels"])
    assert len(served) == 50
    assert seen_by["schema"] is own


def test_a_function_is_packed_with_its_module(tmp_path, log, monkeypatch):
    (tmp_path / "own_rules.py").write_text("def where(ego_pose):\n    return {'x': ego_pose[:1, 3]}\n")
    monkeypatch.syspath_prepend(tmp_path)
    import own_rules

    x = [{"name": "x", "dtype": "float64", "shape": [1]}]
    path = pc.pack(own_rules.where, [POSE], tmp_path / "where.neuropod", outputs=x, frame=log[2])
    with pc.load_neuropod(path, trust=True) as model:
        assert model.infer(pc.InputBuilder(model).build(log[2]))["x"] == log[2].world_from_ego[0, 3]
    package = open_package(path)
    data = test_data.load(package.read(test_data.FILE_NAME))
    package.files.close()
    # a packaged model was asked, since the function's own answer is not looked at
    assert data["test_output"]["x"] == log[2].world_from_ego[0, 3]


def test_a_tensorflow_function_is_saved_with_its_variables():
    tf = pytest.importorskip("tensorflow")
    scale = tf.Variable(2.0, dtype=tf.float64)

    @tf.function
    def scaled(ego_pose):
        return {"out": scale * ego_pose}

    assert kind_of(tf.Module()) == "tensorflow"
    with ExitStack() as until:
        way = packable(scaled, None, [Row.of(POSE)], None, until)
        assert way.platform == "tensorflow"
        saved = tf.saved_model.load(way.source["saved_model_dir"])
        answer = saved.signatures["serving_default"](ego_pose=tf.eye(4, dtype=tf.float64))
    np.testing.assert_array_equal(answer["out"], 2 * np.eye(4))
    keras = pytest.importorskip("keras")
    assert kind_of(keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])) == "keras"


def kind_of(model, platform=None):
    with ExitStack() as until:
        return packable(model, platform, [Row.of(POSE)], {"ego_pose": np.eye(4)}, until).platform


class PoseNet(torch.nn.Module):
    def forward(self, ego_pose: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"out": ego_pose}


def test_what_a_model_is_decides_what_packs_it(tmp_path):
    scripted = torch.jit.script(PoseNet())
    assert kind_of(PoseNet()) == "torchscript"
    assert kind_of(scripted) == "torchscript"
    program = torch.export.export(PoseNet(), (), {"ego_pose": torch.eye(4)})
    assert kind_of(program) == "torch_export"
    assert kind_of(b"an onnx file") == "onnx"
    torch.jit.save(scripted, tmp_path / "saved.pt")
    assert kind_of(tmp_path / "saved.pt") == "torchscript"
    assert kind_of("perceptum.demo.run:run_demo") == "python"


UNKNOWN = "wanted a torch module or exported program, a Keras model"


@pytest.mark.parametrize(
    ("model", "platform", "message"),
    [
        (3, None, f"a builtins int is not a model that can be packed; {UNKNOWN}"),
        (PoseNet(), "tensorrt", "no platform 'tensorrt'; there are torchscript, torch_export"),
        (PoseNet(), "onnx", "PoseNet cannot be packed as onnx; as torchscript or torch_export it can"),
        ("not_there.pt", None, "not_there.pt: no such file"),
        ("not_there:make", None, "there is no module 'not_there' of Python source that could be packed"),
        (lambda ego_pose: {}, None, "its state is not code; give 'package.module:function'"),
    ],
)
def test_what_cannot_be_packed_is_refused_with_what_can(model, platform, message):
    with pytest.raises(UsageError) as error:
        kind_of(model, platform)
    assert message in str(error.value)


class Untyped(torch.nn.Module):
    def forward(self, **tensors):
        return tensors


def test_a_module_that_torchscript_cannot_take_says_what_else_there_is():
    with pytest.raises(UsageError, match=r"TorchScript cannot take .*Untyped.*platform='torch_export' traces it"):
        kind_of(Untyped())


def test_exporting_needs_tensors_to_trace_with(tmp_path, training_builder):
    with pytest.raises(UsageError, match=r"traces the model with a frame's tensors: give frame=, or seen="):
        pc.pack(Net(), training_builder, tmp_path / "x.neuropod", outputs=OUT, platform="torch_export")


class Bare(torch.nn.Module):
    def forward(self, ego_pose: torch.Tensor) -> torch.Tensor:
        return ego_pose


@pytest.mark.parametrize(
    ("model", "spec", "given", "message"),
    [
        (Net(), [VOXELS], {}, "say what the model gives: outputs=, or problem="),
        (Net(), [BOXES], {"outputs": OUT}, "the spec has targets alone"),
        (Net(), [VOXELS], {"outputs": OUT, "seen": 3}, "seen must be a loader, a dataset, a log or frames, got an int"),
        (Net(), [VOXELS], {"problem": "dreaming"}, "no problem 'dreaming'"),
        (Net(), [VOXELS], {"problem": Detection3d(), "outputs": OUT}, "the spec has no output 'boxes'"),
    ],
)
def test_bad_use_is_refused_before_anything_is_written(tmp_path, model, spec, given, message):
    with pytest.raises((UsageError, SpecError)) as error:
        pc.pack(model, spec, tmp_path / "x.neuropod", **given)
    assert message in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_without_frames_was_not_seen(tmp_path, log):
    with pytest.raises(UsageError, match=r"^seen: the dataset has no frames$"):
        pc.pack(Net(), [VOXELS], tmp_path / "x.neuropod", outputs=OUT, seen=Dataset([log]).subset([]))


def test_a_model_that_answers_no_dict_is_refused(tmp_path, log):
    with pytest.raises(UsageError, match=r"Bare returns Tensor; a packaged model returns a dict"):
        pc.pack(Bare(), [POSE], tmp_path / "x.neuropod", outputs=OUT, frame=log[0])


def test_a_frame_does_not_have_inputs_that_are_no_features(tmp_path, log):
    rows = [{"name": "x", "dtype": "float32", "shape": ["n"]}]
    with pytest.raises(UsageError, match=r"no frame has the input 'x', which is not a feature; give test_input_data="):
        pc.pack(Net(), rows, tmp_path / "x.neuropod", outputs=OUT, frame=log[0])


def test_an_answer_that_is_kept_is_in_the_manifest_of_a_folder_too(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "twice.py").write_text("def make(data):\n    return lambda x: {'out': x * 2}\n")
    rows = {name: [{"name": name, "dtype": "float64", "shape": ["n"]}] for name in ("x", "out")}
    for path, as_zip in ((tmp_path / "zip", True), (tmp_path / "folder", False)):
        pc.neuropod.create_python_neuropod(
            neuropod_path=path,
            model_name="twice",
            input_spec=rows["x"],
            output_spec=rows["out"],
            data_paths=[],
            code_path_spec=[{"python_root": tmp_path / "code", "dirs_to_package": [""]}],
            entrypoint_package="twice",
            entrypoint="make",
            test_input_data={"x": np.arange(3.0)},
            keep_answer=True,
            package_as_zip=as_zip,
        )
        package = open_package(Path(path))  # checks the manifest
        data = test_data.load(package.read(test_data.FILE_NAME))
        package.files.close()
        assert data["test_output"]["out"].tolist() == [0, 2, 4]
