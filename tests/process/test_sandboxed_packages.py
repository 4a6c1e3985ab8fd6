"""Packages in a sandbox, through the front door: what they may do, and that they are kept in."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import pytest

import perceptum as pc
from perceptum.neuropod import packagers
from perceptum.neuropod.errors import NeuropodError, NotTrusted, WorkerError
from perceptum.neuropod.process.limits import Limits
from perceptum.neuropod.process.sandbox import Sandbox
from perceptum.neuropod.process.worker.enclosure import why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=f"no sandbox here: {why_not()}")

MEMORY_BYTES = 512 << 20
ATTACKS = Path(__file__).with_name("attacks.py")
# a package's code: it does what it is asked to, and answers with what came of it
CODE = """
import json
import os
import sys
import time

import numpy as np

from . import attacks


def make(_):
    kept = []

    def model(what, x):
        what = json.loads(str(what[0]))
        said = ""
        if "attempts" in what:
            said = {name: attacks.tried(name, what["victim"]) for name in what["attempts"]}
        elif "run" in what:
            scope = {"kept": kept, "x": x}
            exec(what["run"], scope)
            said = scope.get("said", "")
        return {"y": x * 2, "said": np.array([json.dumps(said)])}

    return model
"""


def make_package(folder, as_zip=False):
    source = folder / "source"
    source.mkdir()
    (source / "hostile.py").write_text(CODE)
    shutil.copy(ATTACKS, source)
    path = folder / ("package.zip" if as_zip else "package")
    packagers.create_python_neuropod(
        neuropod_path=str(path),
        model_name="hostile",
        data_paths=[],
        code_path_spec=[{"python_root": str(source), "dirs_to_package": [""]}],
        entrypoint_package="hostile",
        entrypoint="make",
        input_spec=[
            {"name": "what", "dtype": "string", "shape": [1]},
            {"name": "x", "dtype": "float32", "shape": ["n"]},
        ],
        output_spec=[
            {"name": "y", "dtype": "float32", "shape": ["n"]},
            {"name": "said", "dtype": "string", "shape": [1]},
        ],
        package_as_zip=as_zip,
    )
    return path


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return make_package(tmp_path_factory.mktemp("sandboxed"))


def ask(model, **what):
    outputs = model.infer({"what": np.array([json.dumps(what)]), "x": np.arange(3, dtype=np.float32)})
    assert outputs["y"].tolist() == [0, 2, 4]
    return json.loads(str(outputs["said"][0]))


def run(model, code):
    return ask(model, run=code)


def test_a_code_package_runs_in_a_sandbox_without_trust_and_nowhere_else(package):
    with pc.load_neuropod(package, isolate="sandbox", timeout_s=60) as model:
        assert run(model, "said = 'it ran'") == "it ran"
    for isolate in (False, True):
        with pytest.raises(NotTrusted, match="this package is code"):
            pc.load_neuropod(package, isolate=isolate)


def test_where_code_is_forbidden_it_is_forbidden_in_a_sandbox_too(package, monkeypatch):
    monkeypatch.setenv("PERCEPTUM_TRUST", "never")
    with pytest.raises(NotTrusted, match="PERCEPTUM_TRUST=never forbids such packages"):
        pc.load_neuropod(package, isolate="sandbox")


def test_a_zip_runs_in_a_sandbox_as_a_folder_does(tmp_path):
    path = make_package(tmp_path, as_zip=True)
    with pc.load_neuropod(path, isolate="sandbox", timeout_s=60) as model:
        assert run(model, "said = __import__('os').path.dirname(__import__('tempfile').gettempdir())") == "/"


def test_a_packages_code_is_kept_from_all_that_it_tries_to(package, monkeypatch, tmp_path):
    """What `test_sandbox_attacks.py` tries from a bare process, from a package's code in its worker."""
    word, abstract = uuid.uuid4().hex, uuid.uuid4().hex
    monkeypatch.setenv("MY_PASSWORD", word)
    secret = tmp_path / "secret"
    secret.write_text("my secret")
    namespace = {"__name__": "attacks"}
    exec(ATTACKS.read_text(), namespace)
    attempts = list(namespace["ATTEMPTS"])
    # the worker's own descriptors are open, and its heap holds what it was told
    attempts.remove("find_descriptors")
    process = subprocess.Popen(["sleep", "60"])
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as hidden:
        hidden.bind("\0" + abstract)
        hidden.listen()
        victim = {
            "port": server.getsockname()[1],
            "abstract": abstract,
            "socket": str(package / "socket"),
            "secret": str(secret),
            "package": str(package),
            "file": str(package / "config.json"),
            "pid": process.pid,
            "drow": word[::-1],
            "memory_bytes": MEMORY_BYTES,
        }
        sandbox = Sandbox(memory_bytes=MEMORY_BYTES, temporary_bytes=8 << 20)
        with pc.load_neuropod(package, isolate=sandbox, timeout_s=60) as model:
            found = ask(model, attempts=attempts, victim=victim)
    assert process.poll() is None
    process.kill()
    process.wait()
    assert [f"{name}: {said}" for name, (kept_out, said) in found.items() if not kept_out] == []
    assert len(found) > 75


def test_all_the_descriptors_of_a_worker_are_its_own(package):
    code = (
        "import os\n"
        "said = []\n"
        "for name in os.listdir('/proc/self/fd'):\n"
        "    try:\n"
        "        said.append(os.readlink('/proc/self/fd/' + name).split(':')[0])\n"
        "    except OSError:\n"
        "        pass\n"
    )
    with pc.load_neuropod(package, isolate="sandbox", timeout_s=60) as model:
        assert set(run(model, code)) <= {"pipe", "socket", "/dev/null", "/memfd", "anon_inode"}


def test_a_worker_that_waits_too_long_is_ended_in_time(package):
    with pc.load_neuropod(package, isolate="sandbox", timeout_s=1.0) as model:
        begin = time.monotonic()
        with pytest.raises(WorkerError, match="did not answer within 1 s and was killed"):
            run(model, "import time; time.sleep(600)")
        assert time.monotonic() - begin < 5


def test_a_worker_that_takes_too_much_memory_is_ended_and_says_so(package):
    code = (
        "import mmap, ctypes\n"
        "libc = ctypes.CDLL(None)\n"
        "while True:\n"
        "    block = mmap.mmap(-1, 16 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
        "    block.write(b'1' * (16 << 20))\n"
        "    view = ctypes.c_char.from_buffer(block)\n"
        "    libc.mprotect(ctypes.c_void_p(ctypes.addressof(view)), ctypes.c_size_t(16 << 20), 1)\n"
        "    kept.append((block, view))\n"
    )
    with (
        pc.load_neuropod(package, isolate=Sandbox(memory_bytes=MEMORY_BYTES), timeout_s=60) as model,
        pytest.raises(WorkerError, match="MiB of memory and may have 512: killed") as caught,
    ):
        run(model, code)
    assert caught.value.exit_signal == "SIGKILL"


def test_memory_errors_are_errors_of_the_model(package):
    with pc.load_neuropod(package, isolate=Sandbox(memory_bytes=MEMORY_BYTES), timeout_s=60) as model:
        with pytest.raises(NeuropodError, match="failed: MemoryError"):
            run(model, "kept.append(bytearray(600 << 20))")
        assert run(model, "said = 1") == 1


def test_outputs_beyond_their_limit_are_an_error_of_the_model(package):
    with pc.load_neuropod(package, isolate=Sandbox(output_bytes=1 << 20), timeout_s=60) as model:
        with pytest.raises(NeuropodError, match=r"no shared memory for \d+ bytes; there are 1048576 in all"):
            run(model, "said = 'x' * (2 << 20)")
        # it is used over and over
        for size in range(1, 25):
            assert run(model, f"said = 'x' * {size * 10000}") == "x" * size * 10000


@pytest.mark.parametrize(
    ("code", "status"),
    [("import os; os._exit(5)", 5), ("import os; os.kill(os.getpid(), 11)", -signal.SIGSEGV)],
)
def test_how_a_sandboxed_worker_ended_is_said_as_of_any_other(package, code, status):
    with pc.load_neuropod(package, isolate="sandbox", timeout_s=60) as model, pytest.raises(WorkerError) as caught:
        run(model, code)
    assert caught.value.exit_status == status


def test_it_is_started_again_in_a_sandbox(package):
    with pc.load_neuropod(package, isolate="sandbox", restart="on_failure", timeout_s=60) as model:
        with pytest.raises(WorkerError):
            run(model, "import os; os._exit(5)")
        assert run(model, "import os; said = [os.getuid(), os.path.exists('/home')]") == [1000, False]


def _descendants(pid):
    found = [pid]
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += _descendants(int(child))
    return found


def _left(processes):
    """Returns those of them that are there a little later."""
    deadline = time.monotonic() + 10
    while (left := [pid for pid in processes if Path(f"/proc/{pid}").exists()]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def test_nothing_is_left_after_close(package):
    model = pc.load_neuropod(package, isolate=Sandbox(processes=2), timeout_s=60)
    run(model, "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(600)")
    processes = _descendants(*model.worker_pids)
    assert len(processes) == 4
    model.close()
    assert _left(processes) == []


def test_nothing_is_left_when_the_program_is_killed(package):
    code = (
        "import sys, time, perceptum as pc\n"
        f"model = pc.load_neuropod({str(package)!r}, isolate='sandbox')\n"
        "print(*model.worker_pids, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        processes = _descendants(int(process.stdout.readline()))
        assert len(processes) == 3
        process.kill()
    assert _left(processes) == []


def test_limits_hold_in_a_worker_with_and_without_a_sandbox(package):
    cpu = min(os.sched_getaffinity(0))
    limits = Limits(cpus=[cpu], threads=1, nice=4, memory_bytes=1 << 30)
    code = (
        "import os, resource\n"
        "said = [sorted(os.sched_getaffinity(0)), os.environ['OMP_NUM_THREADS'], os.nice(0),"
        " resource.getrlimit(resource.RLIMIT_DATA)[0]]"
    )
    for isolate in (True, "sandbox"):
        with pc.load_neuropod(package, isolate=isolate, trust=True, limits=limits, timeout_s=60) as model:
            assert run(model, code) == [[cpu], "1", 4, 1 << 30]


def test_what_is_asked_for_wrongly_is_refused(package):
    with pytest.raises(NeuropodError, match="isolate must be True, False, 'sandbox' or a Sandbox, got 'jail'"):
        pc.load_neuropod(package, isolate="jail")
    with pytest.raises(NeuropodError, match="limits is for a model in a process of its own; load it with isolate=True"):
        pc.load_neuropod(package, limits=Limits(threads=1), trust=True)


def test_where_there_can_be_none_the_package_is_refused_and_not_run_with_less(package, monkeypatch):
    from perceptum.neuropod.process import sandbox

    monkeypatch.setattr(sandbox, "why_not", lambda: "user namespaces are turned off; turn them on")
    with pytest.raises(NeuropodError) as caught:
        pc.load_neuropod(package, isolate="sandbox", trust=True)
    expected = f"{package}: isolate='sandbox' is not possible here: user namespaces are turned off; turn them on"
    assert str(caught.value) == expected


def test_the_frameworks_run_in_a_sandbox_with_the_threads_that_they_may_have(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    helper = pytest.importorskip("onnx").helper
    torch = pytest.importorskip("torch")

    class Double(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"y": x * 2}

    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])], "g", [value("x", 1, ["n"])], [value("y", 1, ["n"])]
    )
    onnx_model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    specs = {
        "model_name": "double",
        "input_spec": [{"name": "x", "dtype": "float32", "shape": ["n"]}],
        "output_spec": [{"name": "y", "dtype": "float32", "shape": ["n"]}],
    }
    packagers.create_onnx_neuropod(neuropod_path=str(tmp_path / "onnx"), model=onnx_model, **specs)
    packagers.create_torchscript_neuropod(
        neuropod_path=str(tmp_path / "torch"), module=torch.jit.script(Double()), **specs
    )
    x = np.arange(5, dtype=np.float32)
    for name in ("onnx", "torch"):
        with pc.load_neuropod(tmp_path / name, isolate="sandbox", limits=Limits(threads=1), timeout_s=60) as model:
            assert model.infer({"x": x})["y"].tolist() == (x * 2).tolist()
            threads = [_threads_of(pid) for pid in _descendants(*model.worker_pids)]
            # it answers, listens and counts; the rest is the framework's
            assert max(threads) <= 6, threads


def _threads_of(pid):
    return len(os.listdir(f"/proc/{pid}/task"))
