"""Workers that other programs start: they connect to a socket, and are workers like any other."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

import perceptum as pc
from perceptum.neuropod import packagers
from perceptum.neuropod.errors import NeuropodError, WorkerError
from perceptum.neuropod.process.worker.enclosure import why_not

CODE = """
import os

import numpy as np


def make(_):
    def model(x):
        seen = [os.getpid(), len([n for n in os.listdir("/proc") if n.isdigit()]), os.getppid()]
        return {"y": x * 2, "seen": np.array(seen, np.int64)}

    return model
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("command")
    source = folder / "source"
    source.mkdir()
    (source / "asked.py").write_text(CODE)
    packagers.create_python_neuropod(
        neuropod_path=str(folder / "package"),
        model_name="asked",
        data_paths=[],
        code_path_spec=[{"python_root": str(source), "dirs_to_package": [""]}],
        entrypoint_package="asked",
        entrypoint="make",
        input_spec=[{"name": "x", "dtype": "float32", "shape": ["n"]}],
        output_spec=[
            {"name": "y", "dtype": "float32", "shape": ["n"]},
            {"name": "seen", "dtype": "int64", "shape": [3]},
        ],
        package_as_zip=False,
    )
    return folder / "package"


def runs(words):
    """Whether these words run here: a program that is installed may still be forbidden."""
    if shutil.which(words[0]) is None:
        return False
    return subprocess.run([*words, "true"], capture_output=True, timeout=60).returncode == 0


UNSHARE = "unshare --user --map-root-user --pid --fork --kill-child --mount-proc --net --ipc"
BWRAP = (
    "bwrap --unshare-all --die-with-parent --ro-bind / / --dev /dev --proc /proc --tmpfs /home --bind {folder} {folder}"
)


@pytest.fixture
def check(package, monkeypatch):
    """Returns check(command) -> what a worker saw that the command started, and nothing is left of it."""
    folder = tempfile.mkdtemp(dir="/tmp")  # the path of a socket must be short
    monkeypatch.setattr(tempfile, "tempdir", folder)

    def checked(command):
        with pc.load_neuropod(package, isolate=True, trust=True, command=command, timeout_s=60) as model:
            assert os.listdir(folder) == []
            x = model.allocate((1000,), np.float32)
            x[:] = np.arange(1000)
            outputs = model.infer({"x": x})
            assert outputs["y"].tolist() == (x * 2).tolist()
        return outputs["seen"].tolist()

    yield checked
    os.rmdir(folder)


@pytest.mark.parametrize("command", ["{worker}", "nice -n 3 {worker}", "sh -c 'exec {worker}'", "env A=1 {worker}"])
def test_a_worker_is_started_by_another_program(check, command):
    check(command)


def test_a_worker_in_namespaces_of_unshare(check):
    if not runs(UNSHARE.split()):
        pytest.skip("unshare makes no namespaces here")
    pid, processes, _ = check(f"{UNSHARE} {{worker}}")
    assert pid == 1
    assert processes == 1


def test_a_worker_in_namespaces_of_bubblewrap(check):
    if not runs([*BWRAP.split("--bind")[0].split()]):
        pytest.skip("no bubblewrap here")
    _, processes, _ = check(f"{BWRAP} {{worker}}")
    assert processes <= 2


def test_a_worker_that_goes_into_the_namespaces_of_another(check):
    if not runs(["nsenter", "--target", str(os.getpid()), "--uts", "--ipc"]):
        pytest.skip("nsenter may enter none here")
    check(f"nsenter --target {os.getpid()} --uts --ipc {{worker}}")


@pytest.mark.skipif(why_not() is not None, reason=f"no sandbox here: {why_not()}")
def test_a_sandbox_may_be_started_by_another_program(package):
    with pc.load_neuropod(package, isolate="sandbox", command="nice -n 1 {worker}", timeout_s=60) as model:
        pid, processes, _ = model.infer({"x": np.ones(1, np.float32)})["seen"].tolist()
    assert (pid, processes) == (2, 2)


def test_a_command_that_ends_is_said_with_what_it_wrote(package):
    with pytest.raises(WorkerError, match=r"its worker could not start: exit status 3 \(no such image\)") as caught:
        pc.load_neuropod(
            package, isolate=True, trust=True, command=["sh", "-c", "echo no such image >&2; exit 3", "{worker}"]
        )
    assert (caught.value.reason, caught.value.exit_status) == ("start", 3)


def test_a_command_that_does_not_exist_is_said(package):
    with pytest.raises(WorkerError, match=r"its worker could not start: .*no-such-program"):
        pc.load_neuropod(package, isolate=True, trust=True, command="no-such-program {worker}")


def test_a_command_that_starts_no_worker_is_ended_in_time(package):
    begin = time.monotonic()
    with pytest.raises(WorkerError, match="its worker did not connect in time; what its command started was killed"):
        pc.load_neuropod(
            package,
            isolate=True,
            trust=True,
            command=["sh", "-c", "sleep 600", "{worker}"],
            load_timeout_s=0.3,
        )
    assert time.monotonic() - begin < 20


def test_a_template_is_checked_before_anything_is_started(package):
    with pytest.raises(NeuropodError, match="nothing in it starts the worker"):
        pc.load_neuropod(package, isolate=True, trust=True, command="podman run image")
    with pytest.raises(NeuropodError, match="command is for a model in a process of its own"):
        pc.load_neuropod(package, trust=True, command="{worker}")


def test_the_socket_is_in_a_folder_that_others_cannot_enter(check, tmp_path):
    said = tmp_path / "said"
    check(["sh", "-c", f"stat -c %a {{folder}} > {said}; exec {{worker}}"])
    assert said.read_text() == "700\n"


def test_a_worker_ends_with_its_program_though_it_did_not_inherit_from_it(package):
    code = (
        "import time, perceptum as pc\n"
        f"model = pc.load_neuropod({str(package)!r}, isolate=True, trust=True, command='setsid -w {{worker}}')\n"
        "print(*model.worker_pids, flush=True)\n"
        "time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(process.stdout.readline())
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(Path(f"/proc/{child}").exists() for child in children):
        time.sleep(0.02)
    assert [child for child in children if Path(f"/proc/{child}").exists()] == []
