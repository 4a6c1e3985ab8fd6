"""The lean runners, which need numpy and the framework alone: the answers of the backends, out of another process."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import perceptum.neuropod
from perceptum.neuropod import NeuropodError, create_python_neuropod, create_torchscript_neuropod, load_neuropod
from perceptum.neuropod.package.package import open_package
from perceptum.neuropod.process.environments.lean_package import lean_package
from perceptum.neuropod.process.worker import runners

WORKER = Path(perceptum.neuropod.__file__).parent / "process" / "worker"
SCRIPT = Path(__file__).with_name("lean_answers.py")
GENUINE = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "neuropod_packages"
BACKENDS = ("python", "torchscript", "tensorflow_frozen", "tensorflow_saved", "onnx")

x, y = np.arange(6, dtype=np.float32).reshape(3, 2), np.ones((3, 2), np.float32)
words = {"x": np.array(["apple", "Käse", "日本", "🐈"]), "y": np.array(["sauce", "🧀", "", "a\0b"])}
none = np.array([], dtype=np.str_)
CALLS = {
    "addition": [{"x": x, "y": y}, {"x": x[:0], "y": y[:0]}, {"x": x * np.nan, "y": y}],
    "strings": [words, {"x": none, "y": none}],
    "mixed": [{"x": np.array([1.5, -2.0]), "words": np.array(["a", "", "🐈"])}],
    "pair": [{"x": np.array([1.0, np.inf])}],
    "scalar": [{"x": np.array(41)}],
    "identity": [{"x": np.arange(4, dtype=np.float32)}],
    "same": [{"x": np.arange(4, dtype=np.float32)}],
    "state": [{"x": np.full(3, 2, np.float32)}, {"x": np.full(3, 4, np.float32)}],
    "constant": [{"x": np.zeros(3, np.float32)}] * 2,
    "extra_output": [{"x": np.zeros(3, np.float32)}],
}
CANNOT = {("onnx", "state")}


def lean_answers(folder, packages, python=sys.executable, prepare=None):
    """Returns key -> what a process of that Python answered: its arrays for each call, or the text of its error.

    packages: key -> (path, calls). The packages are unpacked below `folder`.
    """
    jobs = []
    for name in ("in", "out"):
        (folder / name).mkdir()
    for key, (path, calls) in packages.items():
        unpacked = folder / key
        if path.is_dir():
            shutil.copytree(path, unpacked)
        else:
            zipfile.ZipFile(path).extractall(unpacked)
        if prepare is not None:
            prepare(unpacked)
        config = json.loads((unpacked / "config.json").read_text())
        for number, inputs in enumerate(calls):
            np.savez(folder / "in" / f"{key}_{number}.npz", **inputs)
        jobs.append(
            {
                "key": key,
                "platform": config["platform"],
                "package": str(unpacked),
                "config": config,
                "wanted": [row["name"] for row in config["output_spec"]],
                "calls": len(calls),
            }
        )
    (folder / "in" / "jobs.json").write_text(json.dumps(jobs))
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [python, "-E", str(SCRIPT), str(WORKER), str(folder / "in"), str(folder / "out")]
    run = subprocess.run(command, env=variables, cwd=folder, capture_output=True, text=True, timeout=200, check=False)
    assert run.returncode == 0, run.stderr
    done = json.loads((folder / "out" / "done.json").read_text())
    assert done["imported"] == []
    answers = {}
    for key, (_, calls) in packages.items():
        error = done["jobs"][key].get("error")
        if error is None:
            assert done["jobs"][key]["shared"] == 0
            loaded = (np.load(folder / "out" / f"{key}_{number}.npz") for number in range(len(calls)))
            answers[key] = [dict(arrays) for arrays in loaded]
        else:
            answers[key] = error
    return answers


@pytest.fixture(scope="module")
def answers(packed, tmp_path_factory):
    """answers(backend) -> problem -> the lean answers, by one process for each backend."""
    found = {}

    def ask(backend):
        if backend not in found:
            todo = {p: (packed(backend, p), calls) for p, calls in CALLS.items() if (backend, p) not in CANNOT}
            found[backend] = lean_answers(tmp_path_factory.mktemp("lean"), todo)
        return found[backend]

    return ask


@pytest.mark.parametrize("problem", CALLS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_lean_runner_answers_as_the_backend_does(answers, packed, backend, problem):
    if (backend, problem) in CANNOT:
        pytest.skip("ONNX has no variables")
    found = answers(backend)[problem]
    assert not isinstance(found, str), found
    with load_neuropod(packed(backend, problem), trust=True, validate="off") as model:
        for inputs, outputs in zip(CALLS[problem], found, strict=True):
            expected = model.infer(inputs)
            assert outputs.keys() == expected.keys()
            for name, array in expected.items():
                assert outputs[name].dtype.kind == array.dtype.kind
                assert outputs[name].shape == array.shape
                assert array.dtype.kind == "U" or outputs[name].dtype == array.dtype
                np.testing.assert_array_equal(outputs[name], array)


TORCH = """
from typing import Dict, List, NamedTuple, Optional, Tuple, Union
import torch
from torch import Tensor

class by_name(torch.nn.Module):
    def forward(self, x, y: Optional[Tensor] = None):
        return {"out": x + (x if y is None else y)}

class absent_is_none(torch.nn.Module):
    def forward(self, x, y: Optional[Tensor]):
        return {"out": x if y is None else y}

class one_dict(torch.nn.Module):
    def forward(self, data: Dict[str, Tensor]):
        return {"out": data["x"] + 1}

class dict_of_both(torch.nn.Module):
    def forward(self, data: Dict[str, Union[List[str], Tensor]]):
        x = data["x"]
        assert isinstance(x, Tensor)
        return {"out": x + 1}

class one_tensor(torch.nn.Module):
    def forward(self, x):
        return x + 1

Out = NamedTuple("Out", [("out", Tensor)])

class named(torch.nn.Module):
    def forward(self, x) -> Out:
        return Out(out=x + 1)

class two_dicts(torch.nn.Module):
    def forward(self, x) -> Tuple[Dict[str, Tensor], Dict[str, Tensor]]:
        return {"out": x + 1}, {"more": x}

class twice(torch.nn.Module):
    def forward(self, x) -> Tuple[Dict[str, Tensor], Dict[str, Tensor]]:
        return {"out": x + 1}, {"out": x}

class number(torch.nn.Module):
    def forward(self, x) -> Dict[str, int]:
        return {"out": 1}

class other_name(torch.nn.Module):
    def forward(self, z):
        return {"out": z}

class strided(torch.nn.Module):
    def forward(self, x):
        return {"out": torch.stack([x, x + 1], 1)[:, 1]}

class gradient(torch.nn.Module):
    def forward(self, x: Tensor):
        x = x.clone().requires_grad_()
        grad = torch.autograd.grad([(x * x).sum()], [x])[0]
        assert grad is not None
        return {"out": grad}

class writes(torch.nn.Module):
    def forward(self, x):
        return {"out": x.add_(1)}
"""
TORCH_CALLS = {
    "by_name": ["out"],
    "absent_is_none": ["out"],
    "one_dict": ["out"],
    "dict_of_both": ["out"],
    "one_tensor": ["out"],
    "named": ["out"],
    "two_dicts": ["out", "more"],
    "twice": ["out"],
    "number": ["out"],
    "other_name": ["out"],
    "strided": ["out"],
    "gradient": ["out"],
}


@pytest.fixture(scope="module")
def torch_packages(once, torch_module):
    def make(folder):
        for which, outputs in TORCH_CALLS.items():
            create_torchscript_neuropod(
                neuropod_path=folder / f"{which}.neuropod",
                model_name=which,
                module=torch_module(TORCH, which, folder),
                input_spec=[{"name": name, "dtype": "float32", "shape": ("n",)} for name in "xy"],
                output_spec=[{"name": name, "dtype": "float32", "shape": ("n",)} for name in outputs],
            )

    folder = once("lean_torchscript", make)
    return {which: folder / f"{which}.neuropod" for which in TORCH_CALLS}


@pytest.fixture(scope="module")
def torch_answers(torch_packages, tmp_path_factory):
    calls = [{"x": np.array([1.0, 2.0], np.float32)}]
    return lean_answers(
        tmp_path_factory.mktemp("lean"), {which: (path, calls) for which, path in torch_packages.items()}
    )


@pytest.mark.parametrize("which", TORCH_CALLS)
def test_torchscript_is_called_as_its_schema_says(torch_answers, torch_packages, which):
    found = torch_answers[which]
    with load_neuropod(torch_packages[which]) as model:
        given = {"x": np.array([1.0, 2.0], np.float32)}
        if isinstance(found, str):
            with pytest.raises(NeuropodError) as error:
                model.infer(given)
            # how a type is named is the only difference
            assert str(error.value).endswith(found.replace("is of type int;", "is an int;"))
        else:
            expected = model.infer(given)
            assert {name: array.tolist() for name, array in found[0].items()} == {
                name: array.tolist() for name, array in expected.items()
            }


PYTHON = {
    "uses_data": "def get(data):\n    text = open(data + '/names.txt').read()\n"
    "    return lambda: {'out': __import__('numpy').array([text])}\n",
    "relative": "from .other import VALUE\ndef get(data):\n    return lambda x: {'out': x + VALUE}\n",
    "not_a_dict": "def get(data):\n    return lambda x: x\n",
    "a_list": "def get(data):\n    return lambda x: {'out': [1.0]}\n",
    "a_number": "import numpy as np\ndef get(data):\n    return lambda x: {'out': np.float32(x.sum())}\n",
    "not_callable": "def get(data):\n    return 5\n",
    "raises": "def get(data):\n    def model(x):\n        raise KeyError('lost')\n    return model\n",
    "bytes_out": "import numpy as np\ndef get(data):\n    return lambda x: {'out': np.array([b'K\\xc3\\xa4se'])}\n",
    "not_text": "import numpy as np\ndef get(data):\n    return lambda x: {'out': np.array([b'\\xff'])}\n",
    "imports_nothing": "def get(data):\n    def model(x):\n        from .lost import z\n    return model\n",
    "its_own_name": "import sys\nimport numpy as np\ndef get(data):\n"
    "    return lambda x: {'out': np.array([type(sys.argv).__name__])}\n",
}


@pytest.fixture(scope="module")
def python_packages(once):
    def make(folder):
        for which, source in PYTHON.items():
            code = folder / f"{which}_code"
            code.mkdir()
            (code / "main.py").write_text(source)
            (code / "other.py").write_text("VALUE = 2\n")
            (code / "names.txt").write_text("Käse", encoding="utf-8")
            create_python_neuropod(
                neuropod_path=folder / f"{which}.neuropod",
                model_name=which,
                input_spec=[{"name": "x", "dtype": "float32", "shape": ("n",)}],
                output_spec=[{"name": "out", "dtype": "float32", "shape": ("n",)}],
                data_paths=[{"path": str(code / "names.txt"), "packaged_name": "names.txt"}],
                code_path_spec=[{"python_root": str(code), "dirs_to_package": [""]}],
                entrypoint_package="main",
                entrypoint="get",
            )

    folder = once("lean_python", make)
    return {which: folder / f"{which}.neuropod" for which in PYTHON}


def calls_of(which):
    return [{} if which == "uses_data" else {"x": np.array([1.0, 2.0], np.float32)}]


@pytest.fixture(scope="module")
def python_answers(python_packages, tmp_path_factory):
    todo = {which: (path, calls_of(which)) for which, path in python_packages.items()}
    return lean_answers(tmp_path_factory.mktemp("lean"), todo)


@pytest.mark.parametrize("which", PYTHON)
def test_code_runs_lean_as_it_does_here(python_answers, python_packages, which):
    found = python_answers[which]

    def ask():
        with load_neuropod(python_packages[which], trust=True, validate="off") as model:
            return model.infer(calls_of(which)[0])

    if not isinstance(found, str):
        np.testing.assert_array_equal(found[0]["out"], ask()["out"])
        return
    with pytest.raises(NeuropodError) as error:
        ask()
    assert str(error.value).endswith(found)


def test_code_that_is_not_in_the_package_is_named(python_packages, tmp_path):
    def spoil(package):
        entry = json.loads((package / "0/config.json").read_text())
        (package / "0/config.json").write_text(json.dumps({**entry, "entrypoint_package": "elsewhere"}))

    packages = {"relative": (python_packages["relative"], calls_of("relative"))}
    assert lean_answers(tmp_path, packages, prepare=spoil)["relative"] == (
        "the entry point's module 'elsewhere' is not in the package's code (0/code); it holds main, other"
    )


def test_byte_code_in_a_package_is_neither_run_nor_written(python_packages, tmp_path):
    """A folder can hold byte code that its sources do not give; the date and size of the source are no proof."""
    import py_compile

    def plant(package):
        code = package / "0/code"
        right = (code / "other.py").read_text()
        stamp = (code / "other.py").stat()
        (code / "other.py").write_text("VALUE = 7\n")
        os.utime(code / "other.py", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        py_compile.compile(str(code / "other.py"))
        (code / "other.py").write_text(right)
        os.utime(code / "other.py", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))

    packages = {"relative": (python_packages["relative"], calls_of("relative"))}
    found = lean_answers(tmp_path, packages, prepare=plant)["relative"]
    assert found[0]["out"].tolist() == [3.0, 4.0]
    assert sorted(p.name for p in (tmp_path / "relative/0/code/__pycache__").iterdir()) == [
        f"other.{sys.implementation.cache_tag}.pyc"
    ]


def test_only_some_platforms_run_lean():
    with pytest.raises(runners.NeuropodError) as error:
        runners.load_runner("jax", "nowhere", {}, None)
    assert str(error.value) == (
        "models of the platform 'jax' run only where perceptum is; other Pythons run onnx, python, pytorch, "
        "tensorflow, torchscript"
    )


@pytest.mark.data
@pytest.mark.skipif(not GENUINE.is_dir(), reason="the genuine packages do not ship")
def test_packages_that_uber_made_run_lean(tmp_path):
    import torch

    calls = {
        "tf_addition_model": {"x": x, "y": y},
        "torchscript_addition_model": {"x": x, "y": y},
        "torchscript_strings_model": {"x": np.array(["apple", "Käse"]), "y": np.array(["sauce", "🧀"])},
    }
    opened = {name: lean_package(open_package(GENUINE / name), torch.__version__) for name in calls}
    found = lean_answers(tmp_path, {name: (p.files.folder(""), [calls[name]]) for name, p in opened.items()})
    for package in opened.values():
        package.files.close()
    for name in ("tf_addition_model", "torchscript_addition_model"):
        np.testing.assert_array_equal(found[name][0]["out"], x + y)
    assert found["torchscript_strings_model"][0]["out"].tolist() == ["apple sauce", "Käse 🧀"]


@pytest.mark.data
@pytest.mark.skipif(not GENUINE.is_dir(), reason="the genuine packages do not ship")
def test_an_old_archive_is_rewritten_only_for_a_torch_that_refuses_it():
    package = open_package(GENUINE / "torchscript_addition_model")
    assert lean_package(package, "1.10.2+cpu") is package
    assert lean_package(package, None) is package
    copy = lean_package(package, "1.11.0")
    folder = copy.files.folder("")
    assert (folder / "config.json").read_bytes() == (GENUINE / "torchscript_addition_model/config.json").read_bytes()
    assert (folder / "0/data/model.pt").read_bytes() != package.read("0/data/model.pt")
    copy.files.close()
    assert not folder.exists()
    assert package.has("0/data/model.pt")
