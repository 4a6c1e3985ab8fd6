"""The front door and the old-style door: trust, keywords, versions, schema."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import perceptum
from perceptum.features import canonical
from perceptum.install import install_command
from perceptum.neuropod import NeuropodError, create_python_neuropod, load_neuropod, loader
from perceptum.neuropod.frameworks.versions import check_range, check_version


def test_the_front_door_is_the_packages_own_name():
    assert perceptum.load_neuropod is load_neuropod


def test_a_code_package_is_not_run_without_trust(packed):
    path = packed("python", "scalar")
    with pytest.raises(NeuropodError) as error:
        load_neuropod(path)
    assert str(error.value) == (
        f"{path}: this package is code (platform 'python') and can do anything that you can; "
        "if you trust who made it, load it with trust=True (on the command line: --trust); "
        "if not, with isolate='sandbox' (perceptum infer --sandbox)"
    )


@pytest.mark.parametrize(
    "backend", ["torchscript", "tensorflow_frozen", "tensorflow_saved", "onnx", "torch_export", "jax"]
)
def test_a_package_that_is_data_needs_no_trust(packed, backend):
    with load_neuropod(packed(backend, "scalar")) as model:
        assert model.infer({"x": np.int64(1)})["out"] == 2


def test_custom_ops_make_any_package_code(packed, package_folder):
    folder = package_folder(packed("torchscript", "scalar"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "custom_ops": ["op.so"]}))
    with pytest.raises(NeuropodError, match=r"this package is code \(it brings custom ops\)"):
        load_neuropod(folder)


def test_the_old_door_runs_code_as_ubers_did(packed):
    with loader.load_neuropod(packed("python", "scalar"), visible_gpu=None) as model:
        assert model.infer({"x": np.int64(1)})["out"] == 2


def test_the_old_door_knows_its_keywords(packed):
    path = packed("python", "scalar")
    with pytest.raises(RuntimeError, match="Got unexpected keyword argument load_custom_ops"):
        loader.load_neuropod(path, load_custom_ops=False)
    with pytest.raises(ValueError, match="_always_use_native=False is no longer supported"):
        loader.load_neuropod(path, _always_use_native=False)


@pytest.mark.parametrize("option", [{"timeout_s": 1.0}, {"workers": 2}, {"restart": "on_failure"}, {"wait": "poll"}])
def test_what_only_a_worker_can_do_is_refused_without_one(packed, option):
    path = packed("torchscript", "scalar")
    with pytest.raises(NeuropodError) as error:
        load_neuropod(path, **option)
    name = next(iter(option))
    assert str(error.value) == f"{path}: {name} is for a model in a process of its own; load it with isolate=True"


def test_a_kind_of_isolation_that_does_not_exist_is_refused(packed):
    with pytest.raises(NeuropodError, match="isolate must be True, False, 'sandbox' or a Sandbox, got 'docker'"):
        load_neuropod(packed("torchscript", "scalar"), isolate="docker")


def test_a_level_of_validation_that_does_not_exist_is_refused(packed):
    with pytest.raises(NeuropodError, match="validate must be 'full' or 'cheap' or 'off', got 'some'"):
        load_neuropod(packed("torchscript", "scalar"), validate="some")


@pytest.mark.parametrize("backend", ["torchscript", "tensorflow_saved", "python", "onnx", "torch_export", "jax"])
def test_the_cpu_can_be_asked_for(packed, backend):
    for gpu in (None, -1):
        with load_neuropod(packed(backend, "scalar"), trust=True, visible_gpu=gpu) as model:
            assert model.infer({"x": np.int64(1)})["out"] == 2


@pytest.mark.parametrize("backend", ["python", "torchscript", "tensorflow_saved"])
@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("a.b.c", "platform_version_semver 'a.b.c' is not a version range"),
        ("0.0.1", "the package needs {platform} '0.0.1', this is "),
        ("", None),
        ("2.0.0 - 3.99.0", None),
        (">=2", None),
    ],
)
def test_the_frameworks_version_must_be_in_the_packages_range(packed, package_folder, backend, wanted, message):
    folder = package_folder(packed(backend, "scalar"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "platform_version_semver": wanted}))
    if message is None:
        load_neuropod(folder, trust=True).close()
    else:
        message = message.format(platform=config["platform"])
        with pytest.raises(NeuropodError, match=rf"^{re.escape(f'{folder}: {message}')}"):
            load_neuropod(folder, trust=True)


# range, versions in it, versions outside: after the documentation of npm's semver
RANGES = [
    (">=1.2.7 <1.3.0", "1.2.7 1.2.99", "1.2.6 1.3.0"),
    ("1.2.7 || >=1.2.9 <2.0.0", "1.2.7 1.4.6", "1.2.8 2.0.0"),
    ("1.2.3 - 2.3.4", "1.2.3 2.3.4", "1.2.2 2.3.5"),
    ("1.2 - 2.3", "1.2.0 2.3.9", "1.1.9 2.4.0"),
    ("1.2.3 - 2", "2.9.9", "3.0.0"),
    ("* || x", "0.0.0 9.9.9", ""),
    ("1.x", "1.0.0 1.9.9", "0.9.9 2.0.0"),
    ("1.2.*", "1.2.9", "1.3.0"),
    ("1.2", "1.2.7", "1.3.0"),
    ("1", "1.9.9", "2.0.0"),
    (">1.2", "1.3.0", "1.2.8"),
    ("<=1.2", "1.2.9", "1.3.0"),
    ("<1", "0.9.9", "1.0.0"),
    ("~1.2.3", "1.2.9", "1.2.2 1.3.0"),
    ("~ 1.2", "1.2.0", "1.3.0"),
    ("~>0", "0.9.9", "1.0.0"),
    ("^1.2.3", "1.2.3 1.9.9", "1.2.2 2.0.0"),
    ("^0.2.3", "0.2.9", "0.3.0"),
    ("^0.0.3", "0.0.3", "0.0.4"),
    ("^0.0", "0.0.9", "0.1.0"),
    ("^0.x", "0.9.9", "1.0.0"),
    ("  >=  1.2.3\t<2 ", "1.5.0", "2.0.0"),
    ("=v1.2.3+build", "1.2.3", "1.2.4"),
    (">1.2.3-alpha.3", "1.2.3 3.4.5", "1.2.2"),
    ("~1.2.3-beta.2", "1.2.3 1.2.9", "1.3.0"),
    ("1.2.3-beta", "", "1.2.3"),
    (">*", "", "1.0.0"),
]


@pytest.mark.parametrize(("wanted", "inside", "outside"), RANGES)
def test_a_range_means_what_it_means_to_npm(wanted, inside, outside):
    for version in inside.split():
        check_version("torch", version, wanted)
    for version in outside.split():
        with pytest.raises(NeuropodError, match=r"^the package needs torch "):
            check_version("torch", version, wanted)


@pytest.mark.parametrize(
    "wanted", ["1.2.3.4", ">=1,<2", "!=1", "01.2.3", ">=1.2.3<2", "latest", "1..2", "a\nb", "=v" * 30_000]
)
def test_what_npm_would_refuse_is_no_range(wanted):
    with pytest.raises(NeuropodError, match=r"^platform_version_semver '.*' is not a version range; write [^\n]*$"):
        check_range(wanted)


GRID = {"grid": {"range": [-10, -10, -3, 10, 10, 3], "voxel": [0.5, 0.5, 6]}}


@pytest.fixture
def feature_package(tmp_path):
    """A code package whose input is a canonical feature with parameters of its own."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "model.py").write_text("def make(data):\n    return lambda **inputs: {}\n")

    def make(name="features", **options):
        path = tmp_path / name
        create_python_neuropod(
            **{
                "neuropod_path": path,
                "model_name": "detector",
                "input_spec": [
                    {"name": "lidar_bev_occupancy", "dtype": "float32", "shape": (None, None, None), "params": GRID},
                    {"name": "threshold", "dtype": "float32", "shape": ()},
                ],
                "output_spec": [],
                "data_paths": [],
                "code_path_spec": [{"python_root": code, "dirs_to_package": [""]}],
                "entrypoint_package": "model",
                "entrypoint": "make",
                "package_as_zip": False,
                **options,
            }
        )
        return path

    return make


def test_a_rows_params_come_back_and_stay_out_of_ubers_files(feature_package):
    path = feature_package()
    with load_neuropod(path, trust=True) as model:
        assert model.inputs[0]["params"] == GRID
        assert "params" not in model.inputs[1]
    assert "params" not in (path / "config.json").read_text()
    record = json.loads((path / "perceptum.json").read_text())
    assert record["schema"]["schema"]["fingerprint"] == canonical().fingerprint
    assert list(record["schema"]["features"]) == ["lidar_bev_occupancy"]
    assert "perceptum.json" in json.loads((path / "manifest.json").read_text())["files"]


def test_an_outputs_frame_comes_back_and_stays_out_of_ubers_files(feature_package):
    outputs = [{"name": "boxes", "dtype": "float32", "shape": (None, 7), "frame": "lidar"}]
    outputs += [{"name": "scores", "dtype": "float32", "shape": (None,)}]
    plain = [{"name": "x", "dtype": "float32", "shape": ()}]
    for name, rows in (("a", plain), ("b", [{**plain[0], "name": "reference_stamp", "dtype": "int64", "shape": (1,)}])):
        path = feature_package(name, input_spec=rows, output_spec=outputs)
        with load_neuropod(path, trust=True) as model:
            assert [row.get("frame") for row in model.outputs] == ["lidar", None]
        assert "frame" not in json.loads((path / "config.json").read_text())["output_spec"][0]
        assert json.loads((path / "perceptum.json").read_text())["output_frames"] == {"boxes": "lidar"}
    with pytest.raises(NeuropodError) as refused:
        feature_package("c", input_spec=[{**plain[0], "frame": "lidar"}])
    wanted = 'input \'x\' has a frame of its own, which is for outputs; say it in its params: {"frame": "lidar"}'
    assert wanted in str(refused.value)


def test_a_given_schema_is_recorded_without_params(feature_package):
    rows = [{"name": "lidar_bev_occupancy", "dtype": "float32", "shape": (None, None, None)}]
    path = feature_package(input_spec=rows, schema=canonical())
    assert (path / "perceptum.json").exists()
    load_neuropod(path, trust=True).close()


def test_a_package_whose_inputs_are_features_has_a_record_and_a_plain_one_none(feature_package):
    rows = [{"name": "lidar_bev_occupancy", "dtype": "float32", "shape": (None, None, None)}]
    assert (feature_package(input_spec=rows) / "perceptum.json").exists()


def test_a_plain_package_has_no_record(feature_package):
    rows = [{"name": "x", "dtype": "float32", "shape": (None, None, None)}]
    assert not (feature_package(input_spec=rows) / "perceptum.json").exists()


def test_a_feature_that_means_something_else_today_is_an_error_at_both_doors(feature_package):
    ours = canonical().with_params("canonical", "1.0.0", {"lidar_bev_occupancy": {"grid": {**GRID["grid"]}}})
    rows = [{"name": "lidar_bev_occupancy", "dtype": "float32", "shape": (None, None, None)}]
    path = feature_package(input_spec=rows, schema=ours)
    for door in (lambda: load_neuropod(path, trust=True), lambda: loader.load_neuropod(path)):
        with pytest.raises(
            NeuropodError, match=rf"^{re.escape(str(path))}: .*lidar_bev_occupancy.* was .*, is "
        ) as error:
            door()
        assert "\n" not in str(error.value)
    load_neuropod(path, trust=True, schema=ours).close()


def test_a_record_that_cannot_be_read_is_named(feature_package):
    path = feature_package()
    (path / "manifest.json").unlink()
    for text, message in (
        ("{", "perceptum.json: not JSON"),
        ('{"format": 2}', "perceptum.json: format is 2, this version reads 1; upgrade perceptum"),
        ('{"format": 1, "schema": 3}', "perceptum.json: schema must be an object, got 3"),
        ('{"format": 1, "schema": {"features": []}}', "the record of the schema cannot be read"),
    ):
        (path / "perceptum.json").write_text(text)
        with pytest.raises(NeuropodError, match=rf"^{re.escape(str(path))}: {re.escape(message)}"):
            load_neuropod(path, trust=True)


def run_python(code):
    # jax, which other tests import, sets TensorFlow's log level for all that a process starts
    env = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env)


def test_the_folder_is_imported_without_any_framework():
    code = (
        "import sys, perceptum.neuropod, perceptum.neuropod.packagers, perceptum.neuropod.loader\n"
        "heavy = 'torch', 'tensorflow', 'keras', 'jax', 'onnxruntime', 'numba', 'perceptum.builders'\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    assert run_python(code).stdout == "[]\n"


def test_a_framework_that_is_not_installed_is_named_with_what_to_do(packed):
    for backend, module, extra in (
        ("torchscript", "torch", "torch"),
        ("torch_export", "torch", "torch"),
        ("tensorflow_saved", "tensorflow", "tensorflow"),
        ("onnx", "onnxruntime", "onnx"),
        ("jax", "jax", "jax"),
    ):
        code = (
            f"import sys; sys.modules[{module!r}] = None\n"
            "import perceptum\n"
            f"perceptum.load_neuropod({str(packed(backend, 'scalar'))!r})"
        )
        assert f"needs {module}: {install_command(extra)}" in run_python(code).stderr.splitlines()[-1]


def test_loading_a_tensorflow_package_is_quiet_and_leaves_the_environment_alone(packed):
    code = (
        "import os, sys, types, numpy, perceptum\n"
        # of which requests, that TensorFlow brings, warns
        "sys.modules['chardet'] = types.ModuleType('chardet')\n"
        "sys.modules['chardet'].__version__ = '99.0.0'\n"
        f"model = perceptum.load_neuropod({str(packed('tensorflow_frozen', 'scalar'))!r})\n"
        "print(model.infer({'x': numpy.int64(1)})['out'])\n"
        "assert 'TF_CPP_MIN_LOG_LEVEL' not in os.environ\n"
    )
    done = run_python(code)
    assert (done.stdout, done.stderr) == ("2\n", "")


def test_an_input_goes_to_the_device_that_its_package_says():
    torch = pytest.importorskip("torch")
    from perceptum.features import Row
    from perceptum.neuropod.frameworks.torch.runner import TorchRunner
    from perceptum.neuropod.package.config import Config

    rows = tuple(Row(name, "float32", (2,)) for name in "ab")
    config = Config("m", "torchscript", rows, (), input_tensor_device={"a": "CPU"})
    seen = {}
    for device in ("cpu", "meta"):  # meta stands in for a GPU: a tensor there has no values, only its device
        runner = TorchRunner(lambda values: seen.update(values) or {}, config, torch.device(device))
        runner.run({name: np.zeros(2, np.float32) for name in "ab"}, ())
        assert [seen[name].device.type for name in "ab"] == ["cpu", device]
