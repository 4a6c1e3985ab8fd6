"""Models that run in the Pythons of other environments, isolated, beside those of this one."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from perceptum.neuropod import NeuropodError, create_python_neuropod, load_neuropod
from perceptum.neuropod.errors import NotTrusted
from perceptum.neuropod.process import environments
from perceptum.neuropod.process.limits import Limits
from perceptum.neuropod.process.worker.enclosure import why_not

# the packages of small problems, one for each backend, are those of the other suites
_packing = importlib.util.spec_from_file_location("packing", Path(__file__).parents[1] / "neuropod" / "conftest.py")
assert _packing is not None
assert _packing.loader is not None
packing = importlib.util.module_from_spec(_packing)
_packing.loader.exec_module(packing)
packed = packing.packed

GENUINE = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "neuropod_packages"
x = np.arange(6, dtype=np.float32).reshape(3, 2)
LEAN = ("python", "torchscript", "tensorflow_frozen", "tensorflow_saved", "onnx")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("PERCEPTUM_ENVIRONMENTS", str(tmp_path / "environments"))


@pytest.fixture(scope="session")
def twin_venv(once):
    """A virtual environment, so another Python, which finds the packages of this one."""

    def make(folder):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        (site,) = (folder / "venv").glob("lib/python3*/site-packages")
        shared = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
        (site / "shared.pth").write_text("\n".join(shared) + "\n")

    return once("twin_venv", make) / "venv"


@pytest.fixture
def twin(twin_venv):
    return environments.add("twin", twin_venv)


@pytest.fixture
def version_package(tmp_path):
    """version_package("numpy") -> a package whose model gives the version of that module."""

    def make(module, semver="*", requirements=None):
        code = tmp_path / f"{module}_code"
        code.mkdir()
        (code / "main.py").write_text(
            f"import sys\nimport numpy as np\nimport {module}\n"
            f"def get(data):\n    return lambda: {{'version': np.array([{module}.__version__]), "
            "'python': np.array([sys.version.split()[0]]), 'prefix': np.array([sys.prefix])}\n"
        )
        path = tmp_path / f"{module}.neuropod"
        create_python_neuropod(
            neuropod_path=path,
            model_name=module,
            input_spec=[],
            output_spec=[{"name": name, "dtype": "string", "shape": (1,)} for name in ("version", "python", "prefix")],
            data_paths=[],
            code_path_spec=[{"python_root": str(code), "dirs_to_package": [""]}],
            entrypoint_package="main",
            entrypoint="get",
            platform_version_semver=semver,
            requirements=requirements,
        )
        return path

    return make


@pytest.fixture(params=LEAN)
def addition(packed, request):
    """A package of each backend, made outside of the test: what TensorFlow logs as it saves keeps its callers alive."""
    return packed(request.param, "addition")


def test_a_model_answers_from_another_environment_as_from_this_one(addition, twin):
    with load_neuropod(addition, trust=True, isolate=True, environment="twin") as model:
        assert model.code is not None
        np.testing.assert_array_equal(model.infer({"x": x, "y": x})["out"], 2 * x)
        with pytest.raises(NeuropodError, match=r"Tensor 'x' in the input spec is expected to have 2 dimensions"):
            model.infer({"x": x[0], "y": x})
        np.testing.assert_array_equal(model.infer({"x": x[:0], "y": x[:0]})["out"], x[:0])


@pytest.mark.data
@pytest.mark.skipif(not GENUINE.is_dir(), reason="the genuine packages do not ship")
def test_an_old_archive_is_rewritten_for_the_torch_of_the_environment(twin):
    with load_neuropod(GENUINE / "torchscript_addition_model", trust=True, isolate=True, environment="twin") as model:
        np.testing.assert_array_equal(model.infer({"x": x, "y": x})["out"], 2 * x)


def test_it_runs_in_the_python_of_the_environment(version_package, twin):
    path = version_package("numpy")
    with load_neuropod(path, trust=True, isolate=True, environment="twin") as model:
        assert model.infer({})["prefix"].tolist() == [twin.prefix]
    with load_neuropod(path, trust=True, isolate=True) as model:
        assert model.infer({})["prefix"].tolist() == [sys.prefix]


def test_what_is_data_here_needs_trust_where_it_is_not_looked_through(packed, twin):
    path = packed("onnx", "addition")
    with pytest.raises(NotTrusted) as error:
        load_neuropod(path, isolate=True, environment="twin")
    assert str(error.value).startswith(
        f"{path}: this package is code (it runs in another Python, where it is not looked through) and can do"
    )


def test_where_nothing_fits_the_package_is_named(packed):
    path = packed("onnx", "addition")
    with pytest.raises(NeuropodError) as error:
        load_neuropod(path, isolate=True, environment="absent")
    assert str(error.value) == (
        f"{path}: no environment 'absent'; there are: none (perceptum env add absent PYTHON adds one)"
    )


def test_limits_hold_there(version_package, twin):
    limits = Limits(threads=1, cpus=[min(os.sched_getaffinity(0))], memory_bytes=4 << 30)
    with load_neuropod(version_package("numpy"), trust=True, isolate=True, environment="twin", limits=limits) as model:
        assert model.infer({})["prefix"].tolist() == [twin.prefix]
        (pid,) = model.worker_pids
        assert os.sched_getaffinity(pid) == set(limits.cpus)


def test_a_sandbox_holds_there(packed, twin, version_package):
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with load_neuropod(packed("onnx", "addition"), isolate="sandbox", environment="twin") as model:
        np.testing.assert_array_equal(model.infer({"x": x, "y": x})["out"], 2 * x)
    with load_neuropod(version_package("numpy"), isolate="sandbox", environment="twin") as model:
        assert model.infer({})["prefix"].tolist() == [twin.prefix]


def test_requirements_that_were_installed_before_come_first(tmp_path, monkeypatch, version_package):
    """As `preinstall_deps` leaves them, for workers of this Python."""
    monkeypatch.setenv("HOME", str(tmp_path))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = tmp_path / f".neuropod/pythonpackages/py{version.replace('.', '')}/needed==2.0"
    site = folder / f"lib/python{version}/site-packages"
    (site / "needed-2.0.dist-info").mkdir(parents=True)
    (site / "needed-2.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: needed\nVersion: 2.0\n")
    (site / "needed.py").write_text("__version__ = '2.0'\n")
    (folder.parent / "needed==2.0.complete").touch()
    path = version_package("needed", requirements="needed==2.0\n")
    with load_neuropod(path, trust=True, isolate=True) as model:
        assert model.infer({})["version"].tolist() == ["2.0"]


@pytest.mark.slow
def test_two_versions_of_onnxruntime_run_in_one_application(packed, version_package, index):
    import onnxruntime

    index("onnxruntime==1.20.1")
    made = environments.create("older", ["onnxruntime==1.20.1", "numpy"])
    assert made.frameworks()["onnxruntime"] == "1.20.1"
    # code that locks the older one is run where that is, without a word; what asks for nothing runs here
    versions = version_package("onnxruntime", requirements="onnxruntime==1.20.1\n")
    path = packed("onnx", "addition")
    with (
        load_neuropod(versions, trust=True, isolate=True) as there,
        load_neuropod(versions, trust=True, isolate=True, environment="this") as here,
        load_neuropod(path, trust=True, isolate=True, environment="older") as older,
        load_neuropod(path, isolate=True) as newer,
    ):
        assert there.infer({})["version"].tolist() == ["1.20.1"]
        assert here.infer({})["version"].tolist() == [onnxruntime.__version__]
        for _ in range(3):
            for model in (older, newer):
                np.testing.assert_array_equal(model.infer({"x": x, "y": x})["out"], 2 * x)


@pytest.mark.gigabytes
@pytest.mark.timeout(3000)
def test_two_versions_of_torch_run_in_one_application(request, packed, version_package, index):
    import torch

    if "gigabytes" not in request.config.option.markexpr:
        pytest.skip("downloads gigabytes; -m gigabytes runs it")
    environments.create("older", ["torch==2.2.2", "numpy<2"])
    versions = version_package("torch", requirements="torch==2.2.2\n")
    path = packed("torchscript", "addition")
    with (
        load_neuropod(versions, trust=True, isolate=True) as there,
        load_neuropod(versions, trust=True, isolate=True, environment="this") as here,
        load_neuropod(path, trust=True, isolate=True, environment="older") as older,
        load_neuropod(path, isolate=True) as newer,
    ):
        assert there.infer({})["version"].tolist()[0].startswith("2.2.2")
        assert here.infer({})["version"].tolist() == [torch.__version__]
        for model in (older, newer):
            np.testing.assert_array_equal(model.infer({"x": x, "y": x})["out"], 2 * x)
