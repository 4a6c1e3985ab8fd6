"""The commands about packages: pack, inspect, verify, diff."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from perceptum.features import canonical
from perceptum.neuropod import load_neuropod

pytestmark = pytest.mark.usefixtures("warm")

ROWS = {
    "input_spec": [{"name": n, "dtype": "float32", "shape": ["n", 2]} for n in "xy"],
    "output_spec": [{"name": "out", "dtype": "float32", "shape": ["n", 2]}],
}
X = np.arange(6, dtype=np.float32).reshape(3, 2)
TORCH = "import torch\nclass Add(torch.nn.Module):\n    def forward(self, x, y):\n        return {'out': x + y}\n"


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A folder with one model, as each framework saves it, its spec and its test data."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "spec.json").write_text(json.dumps(ROWS))
    np.savez(folder / "data.npz", x=X, y=X, out=X + X)
    np.savez(folder / "wrong.npz", x=X, y=X, out=X)
    (folder / "add_model.py").write_text(TORCH)
    return folder


@pytest.fixture(scope="session")
def torchscript(models):
    torch = pytest.importorskip("torch")
    import importlib.util

    spec = importlib.util.spec_from_file_location("add_model", models / "add_model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.jit.script(module.Add()).save(str(models / "add.pt"))
    return models / "add.pt"


@pytest.fixture(scope="session")
def torch_export(models):
    torch = pytest.importorskip("torch")

    class Add(torch.nn.Module):
        def forward(self, x, y):
            return {"out": x + y}

    n = torch.export.Dim("n")
    example = (torch.ones(3, 2), torch.ones(3, 2))
    program = torch.export.export(Add(), example, dynamic_shapes={"x": {0: n}, "y": {0: n}})
    torch.export.save(program, str(models / "add.pt2"))
    return models / "add.pt2"


@pytest.fixture(scope="session")
def saved_model(models):
    pytest.importorskip("tensorflow")
    from perceptum.neuropod.frameworks.tensorflow import import_tensorflow

    tf = import_tensorflow()
    module = tf.Module()
    specs = {n: tf.TensorSpec([None, 2], tf.float32, n) for n in "xy"}
    module.serve = tf.function(lambda x, y: {"out": x + y}).get_concrete_function(**specs)
    tf.saved_model.save(module, str(models / "saved"), signatures={"serving_default": module.serve})
    return models / "saved"


@pytest.fixture(scope="session")
def frozen(models):
    pytest.importorskip("tensorflow")
    from perceptum.neuropod.frameworks.tensorflow import import_tensorflow

    tf = import_tensorflow()
    with tf.Graph().as_default() as graph:
        x, y = (tf.compat.v1.placeholder(tf.float32, [None, 2], name=f"in_{n}") for n in "xy")
        tf.add(x, y, name="sum")
    (models / "add.pb").write_bytes(graph.as_graph_def().SerializeToString())
    return models / "add.pb"


@pytest.fixture(scope="session")
def onnx_model(models):
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    value = lambda name: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 2])  # noqa: E731
    node = onnx.helper.make_node("Add", ["x", "y"], ["out"])
    graph = onnx.helper.make_graph([node], "add", [value("x"), value("y")], [value("out")])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    (models / "add.onnx").write_bytes(model.SerializeToString())
    return models / "add.onnx"


NODES = ["--node", "x=in_x", "--node", "y=in_y:0", "--node", "out=sum"]


@pytest.mark.parametrize(
    ("which", "platform", "more"),
    [
        ("torchscript", "torchscript", []),
        ("torch_export", "torch_export", []),
        ("saved_model", "tensorflow", []),
        ("frozen", "tensorflow", NODES),
        ("onnx_model", "onnx", []),
    ],
)
def test_what_a_framework_saved_is_packed_tested_and_runs(command, models, request, tmp_path, which, platform, more):
    model = request.getfixturevalue(which)
    data = ["--spec", models / "spec.json", "--test-data", models / "data.npz"]
    done = command("pack", model, "add.neuropod", *data, "--name", "adder", *more)
    assert (done.status, done.out) == (0, "package: add.neuropod\n")
    with load_neuropod(tmp_path / "add.neuropod") as loaded:
        assert (loaded.name, loaded.platform) == ("adder", platform)
        np.testing.assert_array_equal(loaded.infer({"x": X, "y": X})["out"], X + X)
    assert command("verify", "add.neuropod").status == 0


def test_packing_without_test_data_says_what_was_tried_and_how_to_add_it(command, models, torchscript):
    done = command("pack", torchscript, "add.neuropod", "--spec", models / "spec.json")
    assert (done.status, done.out) == (
        0,
        "package: add.neuropod\ntest data: none, so it was only run on zeros, and its outputs were compared with "
        "nothing; --test-data NPZ adds inputs to run it on, and outputs to expect\n",
    )
    told = {step["check"]: step["found"] for step in command("verify", "add.neuropod", "--json").json}
    assert told["test data"] == (
        "the package keeps none; pack it again with `perceptum pack --test-data NPZ`, or with test_input_data= and "
        "test_expected_out="
    )


def test_params_are_for_the_inputs_that_bring_none(command, tmp_path):
    torch = pytest.importorskip("torch")

    class Count(torch.nn.Module):
        def forward(self, lidar_bev_occupancy: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"n": lidar_bev_occupancy.count_nonzero().reshape(1)}

    torch.jit.script(Count()).save("count.pt")
    rows = {"input_spec": ["lidar_bev_occupancy"], "output_spec": [{"name": "n", "dtype": "int64", "shape": [1]}]}
    Path("spec.json").write_text(json.dumps(rows))
    preset = "lidar_bev_occupancy=pixor_kitti"
    done = command("pack", "count.pt", "count.neuropod", "--spec", "spec.json", "--params", preset)
    assert done.status == 0, done.err
    (row,) = command("inspect", "count.neuropod", "--json").json["inputs"]
    assert row["params"] == {"preset": "pixor_kitti"}
    own = canonical().spec(["lidar_bev_occupancy"], {"lidar_bev_occupancy": "pixor_kitti"}).rows[0]
    assert row["shape"] == list(own.shape)


@pytest.fixture(scope="session")
def packed_add(models, torchscript):
    """The TorchScript model as a package, with test data, packed once."""
    from perceptum.neuropod import create_torchscript_neuropod

    path = models / "add.neuropod"
    create_torchscript_neuropod(
        neuropod_path=path,
        model_name="add",
        module_path=torchscript,
        test_input_data={"x": X, "y": X},
        test_expected_out={"out": X + X},
        **ROWS,
    )
    return path


@pytest.fixture
def add(packed_add, tmp_path):
    """add(name) -> a copy of that package, a zip file."""
    return lambda name="add.neuropod": Path(shutil.copy(packed_add, tmp_path / name))


@pytest.fixture
def add_folder(packed_add, tmp_path):
    """add_folder(name) -> the same as a folder, with its manifest."""

    def make(name="folder"):
        zipfile.ZipFile(packed_add).extractall(tmp_path / name)
        return tmp_path / name

    return make


def test_a_folder_and_versions_can_be_asked_for(command, models, torchscript, tmp_path):
    words = ("--spec", models / "spec.json", "--folder", "--versions", ">=2")
    assert command("pack", torchscript, "add", *words).status == 0
    config = json.loads((tmp_path / "add" / "config.json").read_text())
    assert (config["name"], config["platform_version_semver"]) == ("add", ">=2")


def test_packing_can_speak_json(command, models, torchscript):
    assert command("pack", torchscript, "m", "--spec", models / "spec.json", "--json").json == {"package": "m"}


def test_a_wrong_answer_is_exit_status_1(command, models, torchscript):
    done = command("pack", torchscript, "m", "--spec", models / "spec.json", "--test-data", models / "wrong.npz")
    assert done.status == 1
    assert done.err.startswith("perceptum: out does not match expected value! Wanted float32 (3, 2)")


def test_bad_use_of_pack_is_exit_status_2_and_leaves_nothing(refusal, models, torchscript, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "model.h5").write_text("x")
    (other / "graph.pb").write_text("x")
    (other / "spec.json").write_text('{"inputs": []}')
    (other / "text.npz").write_text("no arrays")
    spec = ("--spec", models / "spec.json")
    for words, message in (
        ((torchscript, "m"), "say what the model takes and gives: --spec FILE, or --problem"),
        (("no.pt", "m", *spec), "no.pt: no such file"),
        ((other / "model.h5", "m", *spec), f"{other / 'model.h5'}: a model is a SavedModel's folder or a file ending"),
        ((other, "m", *spec), f"{other}: a folder without saved_model.pb is not a SavedModel"),
        ((torchscript, "m", "--spec", "no.json"), "no.json: no such file; a spec is a JSON file"),
        ((torchscript, "m", "--spec", other / "spec.json"), f"{other / 'spec.json'}: a problem is"),
        ((torchscript, "m", *spec, "--test-data", other / "text.npz"), f"{other / 'text.npz'}: not an .npz file"),
        ((other / "graph.pb", "m", *spec, "--node", "x"), "--node must be like x=in_x:0, got 'x'"),
        ((torchscript, "m", *spec, "--node", "x=a"), "--node is for a frozen graph"),
        ((torchscript, "m", *spec, "--problem", "detection3d"), "the spec has no output 'boxes'; it gives out"),
        ((torchscript, "m", "--problem", "detection3d"), "--problem detection3d leaves the inputs to its models: give"),
        ((torchscript, "m", "--problem", "detektion"), "no problem 'detektion'; there are"),
        ((torchscript, "m", *spec, "--test-data", "no.npz"), "no.npz: no such file; test data is an .npz file"),
    ):
        status, line = refusal("pack", *words)
        assert line.startswith(message)
        assert status == 2, line


def test_a_model_is_packed_for_a_problem(command, models, torchscript, tmp_path):
    problem = {**ROWS, "input_spec": [*ROWS["input_spec"], {"name": "z", "dtype": "int8", "shape": []}]}
    (tmp_path / "problem.json").write_text(json.dumps(problem))
    own = ("--problem", "problem.json", "--spec", models / "spec.json")
    assert command("pack", torchscript, "m", *own).status == 0
    with load_neuropod(tmp_path / "m") as loaded:
        assert [row["name"] for row in loaded.inputs] == ["x", "y"]


def test_inspect_tells_all_without_running_any(add, command):
    done = command("inspect", add())
    assert done.status == 0
    for words in ("torchscript", "(n, 2)", "float32", "0/data/model.pt", "holds", "data"):
        assert words in done.out
    found = command("inspect", "add.neuropod", "--json").json
    assert found["name"] == "add"
    assert [row["name"] for row in found["inputs"]] == ["x", "y"]
    assert found["platform_version"]["wanted"] == "*"
    assert found["code"] is None
    assert found["test_data"] is True
    assert found["manifest"] is True
    assert {f["file"] for f in found["files"]} >= {"config.json", "manifest.json", "0/data/model.pt", "test_data.pkl"}
    assert all(len(f["sha256"]) == 64 and f["bytes"] > 0 for f in found["files"])


def test_inspect_and_diff_import_no_framework(add, tmp_path):
    code = (
        "import sys\n"
        "from perceptum.neuropod.pack.difference import compare_packages\n"
        f"assert compare_packages({str(add())!r}, {str(add('b'))!r}) == []\n"
        "print([m for m in ('torch', 'tensorflow', 'jax', 'onnxruntime') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_inspect_says_what_is_code_and_which_schema(code_package, command):
    source = "raise SystemExit('ran')\ndef model(**inputs): return {}"
    grid = {"grid": {"range": [-10, -10, -3, 10, 10, 3], "voxel": [0.5, 0.5, 6]}}
    row = {"name": "lidar_bev_occupancy", "dtype": "float32", "shape": [None, None, None], "params": grid}
    found = command("inspect", code_package(source, [], inputs=[row]), "--json").json
    assert found["code"] == "platform 'python'"
    assert found["schema"]["name"] == "canonical"
    assert found["schema"]["features"] == ["lidar_bev_occupancy"]
    assert found["inputs"][0]["params"] == grid


def test_a_broken_or_missing_package_is_named(command, add_folder):
    done = command("inspect", "nowhere")
    assert (done.status, done.err) == (2, "perceptum: nowhere: no such file or folder\n")
    for words in (("diff", add_folder(), "nowhere"), ("diff", "nowhere", "nowhere"), ("verify", "nowhere")):
        assert command(*words).status == 2
    path = add_folder()
    (path / "config.json").write_text("{}")
    done = command("inspect", path)
    assert done.status == 1
    assert "config.json: its sha256 is" in done.err


def steps(done):
    return {step["check"]: step for step in json.loads(done.out)}


def test_verify_takes_every_step(add, command):
    done = command("verify", add(), "--json")
    assert done.status == 0
    assert list(steps(done)) == [
        "manifest",
        "schema",
        "framework",
        "test data",
        "symbols",
        "trust",
        "load and self-test",
    ]
    assert {check for check, step in steps(done).items() if step["ok"] is not True} == {"schema"}
    assert steps(done)["schema"] == {"check": "schema", "ok": None, "found": "the package records no features"}
    assert steps(done)["symbols"]["found"] == "n=3; shared by inputs and outputs: n"
    assert steps(done)["load and self-test"]["found"] == "ran in a fresh process; out as expected"


def test_verify_says_what_was_not_checked(add_folder, command):
    path = add_folder()
    for name in ("manifest.json", "test_data.pkl"):
        (path / name).unlink()
    done = command("verify", path, "--json")
    assert done.status == 0
    assert {check: step["ok"] for check, step in steps(done).items()} == {
        "manifest": None,
        "schema": None,
        "framework": True,
        "test data": None,
        "symbols": None,
        "trust": True,
        "load and self-test": True,
    }
    assert steps(done)["symbols"]["found"] == "no sizes without test data; shared by inputs and outputs: n"
    assert steps(done)["load and self-test"]["found"] == (
        "loads in a fresh process; not run, since the package keeps no test data"
    )
    assert command("verify", path).out.count("not checked") == 4


def changed_test_data(path, test_input, test_output):
    from perceptum.neuropod.package import test_data

    (path / "manifest.json").unlink()
    (path / "test_data.pkl").write_bytes(test_data.dump(test_input, test_output))


@pytest.mark.parametrize(
    ("test_input", "test_output", "check", "message"),
    [
        ({"x": X, "y": X}, {"out": X}, "load and self-test", "out does not match expected value!"),
        ({"x": X, "y": X}, {"out": X[:2]}, "symbols", "symbol 'n' is 3 before and 2 in 'out'"),
        ({"x": X, "y": X[:2]}, None, "test data", "All dims with symbol 'n' should be the same size"),
        ({"x": X.astype(float), "y": X}, None, "test data", "expected to be of type FLOAT_TENSOR"),
        ({"x": X, "z": X}, None, "test data", "Tensor name(s) '{z}' are not found in the input spec"),
    ],
)
def test_verify_names_the_step_that_fails(add_folder, command, test_input, test_output, check, message):
    path = add_folder()
    changed_test_data(path, test_input, test_output)
    done = command("verify", path, "--json")
    assert done.status == 1
    assert not steps(done)[check]["ok"]
    assert message in steps(done)[check]["found"]
    assert "FAILED" in command("verify", path).out


def test_verify_finds_a_changed_file_and_a_model_that_does_not_load(add_folder, command):
    path = add_folder()
    (path / "0/data/model.pt").write_bytes(b"nothing")
    done = command("verify", path, "--json")
    assert done.status == 1
    assert "the package was changed after it was made" in steps(done)["package"]["found"]
    (path / "manifest.json").unlink()
    done = command("verify", path, "--json")
    assert "torch cannot load it" in steps(done)["load and self-test"]["found"]


def test_verify_runs_code_only_when_trusted(code_package, command):
    path = code_package("def model(ego_pose): return {}", [])
    done = command("verify", path, "--json")
    assert done.status == 1
    assert "this package is code (platform 'python')" in steps(done)["trust"]["found"]
    assert steps(done)["load and self-test"]["ok"] is None
    assert steps(done)["load and self-test"]["found"] == (
        "code that is not trusted is not run; --trust, or trust=True, runs it"
    )
    done = command("verify", path, "--trust", "--json")
    assert done.status == 0
    assert steps(done)["load and self-test"]["found"].startswith("loads in a fresh process; not run")


def test_verify_survives_a_model_that_kills_its_process(code_package, command):
    path = code_package("import os, signal; os.kill(os.getpid(), signal.SIGKILL)\ndef model(ego_pose): return {}", [])
    done = command("verify", path, "--trust", "--json")
    assert done.status == 1
    assert "killed by SIGKILL" in steps(done)["load and self-test"]["found"]


def test_diff_is_silent_about_folder_and_zip(add, add_folder, command):
    add("a")
    add("b")
    add_folder("c")
    for other in ("b", "c"):
        done = command("diff", "a", other)
        assert (done.status, done.out) == (0, "no difference\n")
    assert command("diff", "a", "b", "--json").json == []


def test_diff_tells_what_is_different(add_folder, command):
    first, second = add_folder("first"), add_folder("second")
    (second / "manifest.json").unlink()
    config = json.loads((second / "config.json").read_text())
    config["name"] = "other"
    config["platform_version_semver"] = ">=2"
    config["input_spec"].reverse()
    config["input_spec"][0]["shape"] = ["n", None]
    config["output_spec"].append({"name": "more", "dtype": "int8", "shape": []})
    config["input_tensor_device"]["x"] = "CPU"
    (second / "config.json").write_text(json.dumps(config))
    (second / "test_data.pkl").unlink()
    done = command("diff", first, second, "--json")
    assert done.status == 1
    rows = {row["what"]: (row["first"], row["second"]) for row in json.loads(done.out)}
    assert rows.pop("file config.json")[0].startswith(f"{(first / 'config.json').stat().st_size} bytes, sha256 ")
    assert rows.pop("file test_data.pkl")[1] is None
    assert rows == {
        "name": ("add", "other"),
        "test_data": (True, False),
        "platform_version": ("*", ">=2"),
        "input y": ("float32 (n, 2)", "float32 (n, any)"),
        "output more": (None, "int8 ()"),
        "order of inputs": (["x", "y"], ["y", "x"]),
        "device of x": ("GPU", "CPU"),
    }
    done = command("diff", first, second)
    assert done.status == 1
    assert "float32 (n, any)" in done.out


@pytest.mark.data
@pytest.mark.parametrize("name", ["tf_addition_model", "torchscript_addition_model", "torchscript_strings_model"])
def test_genuine_packages_are_inspected_and_verified(real_data: Path, command, name):
    path = real_data / "neuropod_packages" / name
    if not path.is_dir():
        pytest.skip("the genuine packages are not here")
    found = command("inspect", path, "--json").json
    assert (found["manifest"], found["custom_ops"], found["code"]) == (False, [], None)
    assert found["platform_version"]["wanted"] == "*"
    assert [row["name"] for row in found["inputs"]] == ["x", "y"]
    assert set(found["input_devices"].values()) == {"GPU"}
    done = command("verify", path, "--json")
    assert done.status == 0
    assert steps(done)["manifest"]["found"].startswith("no manifest.json")


@pytest.mark.slow
def test_packing_again_replaces_a_package_where_that_is_asked_for(command, models, torchscript):
    words = ("--spec", models / "spec.json", "--json")
    assert command("pack", torchscript, "twice", *words).status == 0
    done = command("pack", torchscript, "twice", *words)
    assert done.status == 1
    assert "already exists! Aborting... overwrite=True (--overwrite) replaces it" in done.err
    assert command("pack", torchscript, "twice", *words, "--overwrite").json == {"package": "twice"}


def test_building_into_what_looks_like_a_file_is_refused(refusal):
    status, told = refusal("build", "synthetic:frames=1", "time_ns", "--out", "x.parquet")
    assert status == 2
    assert told == "cannot write x.parquet: each frame gets an .npz file in a folder; name one without an ending"


def test_inspect_shows_what_a_preset_meant_and_the_axes_of_outputs(code_package, command):
    row = {"name": "lidar_voxels", "dtype": "float32", "shape": ["n", 32, 4], "params": "pointpillars_kitti"}
    boxes = {"name": "boxes", "dtype": "float32", "shape": ["k", 7], "frame": "lidar"}
    package = code_package("def model(lidar_voxels): return {}", [boxes], inputs=[row])
    done = command("inspect", package)
    shown = " ".join(done.out.split())
    assert "preset: pointpillars_kitti" in shown
    assert "max_voxels: 40000" in shown
    assert "frame: lidar" in shown
    # what is the schema's own is left out
    assert "num_sweeps" not in shown
    found = command("inspect", package, "--json").json
    assert found["outputs"][0]["frame"] == "lidar"
    assert found["meanings"]["lidar_voxels"]["params"]["max_voxels"] == 40_000
    assert found["meanings"]["lidar_voxels"]["params"]["num_sweeps"] == 1
