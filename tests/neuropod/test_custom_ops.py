"""Operators in C++ that a package brings: compiled here, packed, and loaded once whatever their name."""

import json
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from perceptum.neuropod import (
    NeuropodError,
    create_tensorflow_neuropod,
    create_torch_export_neuropod,
    create_torchscript_neuropod,
    load_neuropod,
)
from perceptum.neuropod.package import custom_ops

SOURCES = Path(__file__).parent / "custom_ops"
X = np.arange(6, dtype=np.float32)
ROWS = {
    "input_spec": [{"name": "x", "dtype": "float32", "shape": ("n",)}],
    "output_spec": [{"name": "out", "dtype": "float32", "shape": ("n",)}],
}
TESTED = {"test_input_data": {"x": X}, "test_expected_out": {"out": 2 * X}}
PLATFORMS = ("torchscript", "torch_export", "tensorflow")

pytestmark = pytest.mark.slow


def compiled(once, name, flags):
    """The library of a source of that name, compiled once for all workers: their headers take seconds."""
    compiler = shutil.which("g++") or shutil.which("c++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler is here")

    def make(folder):
        source, out = SOURCES / f"{name}.cc", folder / "double.so"
        command = [compiler, "-w", "-O0", "-fPIC", "-shared", str(source), "-o", str(out), *flags]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]

    return once(name, make) / "double.so"


@pytest.fixture(scope="module")
def torch_op(once):
    import torch

    home = Path(torch.__file__).parent
    include = [f"-I{home}/include", f"-I{home}/include/torch/csrc/api/include"]
    flags = ["-std=c++20", *include, f"-L{home}/lib", "-lc10", "-ltorch_cpu"]
    path = compiled(once, "torch_double", flags)
    custom_ops.load_libraries(path.parent, [path.name], torch.ops.load_library)
    return path


@pytest.fixture(scope="module")
def tensorflow_op(once):
    import tensorflow as tf

    flags = [*tf.sysconfig.get_compile_flags(), *tf.sysconfig.get_link_flags()]
    path = compiled(once, "tensorflow_double", flags)
    custom_ops.load_libraries(path.parent, [path.name], tf.load_op_library)
    return path


def double_module():
    import torch

    class Double(torch.nn.Module):
        def forward(self, x: torch.Tensor):
            return {"out": torch.ops.perceptum_test.double_it(x)}

    return Double()


def torch_program():
    import torch

    torch.library.register_fake("perceptum_test::double_it", torch.empty_like, allow_override=True)
    size = {0: torch.export.Dim("n", min=0)}
    return torch.export.export(double_module(), (torch.zeros(5),), dynamic_shapes={"x": size})


def tensorflow_graph(library):
    import tensorflow as tf

    op = tf.load_op_library(str(library)).perceptum_test_double
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder("float32", [None], name="x")
        op(x=x, name="out")
    return graph.as_graph_def()


@pytest.fixture(scope="module")
def pack(torch_op, tensorflow_op, tmp_path_factory):
    """Returns pack(platform, ops=[the platform's library], **options) -> the path of a package that doubles x."""
    import torch

    made = {
        "torchscript": (
            create_torchscript_neuropod,
            {"module": torch.jit.trace(double_module(), torch.zeros(3), strict=False)},
        ),
        "torch_export": (create_torch_export_neuropod, {"program": torch_program()}),
        "tensorflow": (
            create_tensorflow_neuropod,
            {"graph_def": tensorflow_graph(tensorflow_op), "node_name_mapping": {"x": "x", "out": "out"}},
        ),
    }

    def make(platform, ops=None, **options):
        create, model = made[platform]
        path = tmp_path_factory.mktemp(platform) / "double.neuropod"
        own = tensorflow_op if platform == "tensorflow" else torch_op
        create(
            neuropod_path=path,
            model_name="double",
            **ROWS,
            **model,
            custom_ops=[own] if ops is None else ops,
            **options,
        )
        return path

    return make


@pytest.fixture(scope="module")
def packed(pack):
    """Platform -> its package, a zip file that was tested in a process of its own."""
    return {platform: pack(platform, **TESTED) for platform in PLATFORMS}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_package_brings_its_operator_to_a_process_that_never_had_it(packed, platform):
    with load_neuropod(packed[platform], trust=True) as model:
        np.testing.assert_array_equal(model.infer({"x": X})["out"], 2 * X)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_operators_are_code_and_need_trust(packed, platform):
    with pytest.raises(NeuropodError) as error:
        load_neuropod(packed[platform])
    assert str(error.value) == (
        f"{packed[platform]}: this package is code (it brings custom ops) and can do anything that you can; "
        "if you trust who made it, load it with trust=True (on the command line: --trust); "
        "if not, with isolate='sandbox' (perceptum infer --sandbox)"
    )


def run(source, *words):
    """Runs Python in a process of its own; a crash is an exit status here."""
    command = [sys.executable, "-c", textwrap.dedent(source), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("platform", ["torchscript", "tensorflow"])
def test_one_library_under_several_names_is_registered_once(pack, packed, torch_op, tensorflow_op, tmp_path, platform):
    own = tensorflow_op if platform == "tensorflow" else torch_op
    ops = [shutil.copy(own, tmp_path / name) for name in ("first.so", "second.so")]
    folder = pack(platform, ops, package_as_zip=False)
    assert sorted(p.name for p in (folder / "0/ops").iterdir()) == ["first.so", "second.so"]
    source = """
        import sys
        import numpy as np
        from perceptum.neuropod import load_neuropod
        for path in sys.argv[1:]:
            with load_neuropod(path, trust=True) as model:
                print(model.infer({"x": np.ones(2, np.float32)})["out"].tolist())
    """
    done = run(source, folder, packed[platform], folder)
    assert done.stdout.splitlines() == ["[2.0, 2.0]"] * 3, done.stderr[-2000:]


def test_torch_ends_the_process_that_registers_an_operator_twice(torch_op, tmp_path):
    """Why libraries are told apart by their bytes."""
    copy = shutil.copy(torch_op, tmp_path / "copy.so")
    done = run("import sys, torch\nfor path in sys.argv[1:]:\n    torch.ops.load_library(path)", torch_op, copy)
    assert done.returncode < 0
    assert "Only a single TORCH_LIBRARY can be used to register the namespace perceptum_test" in done.stderr


def changed(packed, platform, tmp_path, change):
    """Unpacks the package without its manifest, and lets `change` have its library."""
    folder = tmp_path / "changed.neuropod"
    shutil.unpack_archive(packed[platform], folder, "zip")
    (folder / "manifest.json").unlink()
    change(folder / "0/ops/double.so")
    return folder


def other_machine(library):
    """Says in the head of the file that it is for a machine of type 0xf3, RISC-V."""
    head = library.read_bytes()
    library.write_bytes(head[:18] + b"\xf3\x00" + head[20:])


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize(
    "damage",
    [other_machine, lambda lib: lib.write_bytes(b"no library"), lambda lib: lib.write_bytes(b"")],
    ids=["another machine's", "garbage", "empty"],
)
def test_a_library_that_cannot_be_loaded_is_named(packed, platform, tmp_path, damage):
    folder = changed(packed, platform, tmp_path, damage)
    with pytest.raises(NeuropodError, match=r"custom op 'double\.so' cannot be loaded \(\w+: ") as error:
        load_neuropod(folder, trust=True)
    assert str(error.value).startswith(f"{folder}: custom op")
    assert str(error.value).endswith("; build it for this machine and this version of the framework")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_library_that_is_absent_is_named(packed, platform, tmp_path):
    folder = changed(packed, platform, tmp_path, Path.unlink)
    with pytest.raises(NeuropodError) as error:
        load_neuropod(folder, trust=True)
    assert str(error.value) == (f"{folder}: custom op 'double.so' is missing from the package's 0/ops; pack it again")


def test_a_library_that_is_not_the_manifests_is_not_loaded(packed, tmp_path):
    folder = tmp_path / "p"
    shutil.unpack_archive(packed["torchscript"], folder, "zip")
    (folder / "0/ops/double.so").write_bytes(b"another")
    with pytest.raises(NeuropodError, match=r"0/ops/double\.so"):
        load_neuropod(folder, trust=True)


def test_a_model_without_its_operator_fails_its_test(pack):
    with pytest.raises(NeuropodError, match=r"Unknown builtin op: perceptum_test::double_it"):
        pack("torchscript", [], **TESTED)


def test_two_libraries_of_one_name_are_refused(torch_op, pack, tmp_path):
    other = shutil.copy(torch_op, tmp_path / "double.so")
    with pytest.raises(NeuropodError) as error:
        pack("torchscript", [torch_op, other])
    assert str(error.value) == f"custom ops '{torch_op}' and '{other}' have one name; rename one of them"


def test_threads_load_a_library_once(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"a library that two packages bring")
    loaded = []

    def load(path):
        time.sleep(0.05)  # the other thread has time to look
        loaded.append(path)

    threads = [threading.Thread(target=custom_ops.load_libraries, args=(tmp_path, [name], load)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loaded) == 1


def test_inspect_names_the_libraries(packed):
    from perceptum.neuropod.pack.inspection import inspect_package

    found = json.loads(json.dumps(inspect_package(packed["tensorflow"])))
    assert (found["custom_ops"], found["code"]) == (["double.so"], "it brings custom ops")
