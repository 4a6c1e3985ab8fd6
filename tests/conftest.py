"""What the tests of every folder share: surroundings of their own, real sensor data, and a log that lives in memory."""

from __future__ import annotations

import fcntl
import gc
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# What a run tests is the same each time, whoever runs it; `--hypothesis-profile search` looks for new examples. How
# long an example takes says nothing on a machine that does other things too
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("search"), derandomize=True)
settings.load_profile("same")

# All that a test sees of what started it. The rest changes what programs do: make's own variables, a git hook's, the
# width of a terminal, a language, colours, PYTHON..., PERCEPTUM_...; a test that needs a variable sets it.
KEPT = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")


def settle() -> str | None:
    """Gives this process, and each that it starts, surroundings of its own; returns the home folder that it made.

    It runs before the first import of perceptum, which looks for a folder to keep kernels in.
    """
    home = os.environ.get("HOME", "")
    # the workers of one run share a home; nobody's own home is read or written
    made = None if "PYTEST_XDIST_WORKER" in os.environ else tempfile.mkdtemp(prefix="perceptum-tests-")
    for name in list(os.environ):
        if name not in KEPT and not name.startswith("PYTEST_"):
            del os.environ[name]
    # pytest has loaded readline, which writes the terminal's size where only started programs see it
    os.unsetenv("COLUMNS")
    os.unsetenv("LINES")
    # what a test starts finds the same perceptum as the test
    found = importlib.util.find_spec("perceptum")
    assert found is not None
    assert found.origin is not None
    os.environ |= {"HOME": made or home, "PYTHONPATH": str(Path(found.origin).parents[1])}
    os.umask(0o022)
    # a shell that puts a command in the background may tell it to ignore Ctrl-C, which its children would inherit
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return made


HOME = settle()

from perceptum.inputs import HDMap, Labels, LidarSweep, Log, MissingRecord, Poses  # noqa: E402


def pytest_unconfigure() -> None:
    if HOME is not None:
        shutil.rmtree(HOME, ignore_errors=True)


# what they make when they are imported stays for good, half a million objects
HEAVY = ("numba", "torch", "tensorflow", "keras", "jax", "onnxruntime", "open3d", "pyarrow")
frozen: set[str] = set()


def pytest_runtest_setup() -> None:
    """Takes what frameworks made, and pytest's own items, out of what garbage is looked for in.

    With all frameworks loaded each `gc.collect()` takes half a second, and hundreds of tests ask for one.
    """
    loaded = {"items", *(name for name in HEAVY if name in sys.modules)}
    if not loaded <= frozen:
        frozen.update(loaded)
        gc.collect()
        gc.freeze()


# what a worker takes with every framework loaded, and the processes that it starts
WORKER_BYTES = 4 << 30


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Returns how many workers `-n auto` starts: one for each core that this process may use, as far as memory goes.

    pytest-xdist itself counts physical cores: on a hosted machine of two logical ones that is one worker.
    """
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(len(os.sched_getaffinity(0)), memory_bytes // WORKER_BYTES))


REAL_DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real sensor data, which does not ship; tests that ask for it are marked `data`."""
    if not REAL_DATA.is_dir():
        pytest.skip("the real sensor data (../shared/data beside the checkout) is not here")
    return REAL_DATA.resolve()


@pytest.fixture(scope="session")
def once(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """once("name", make): the folder that make(folder) has filled, once for all the workers of a run.

    Each of them may only read it.
    """
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if hasattr(request.config, "workerinput") else base) / "once"
    shared.mkdir(exist_ok=True)

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, finished = shared / name, shared / f"{name}.made"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not finished.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                finished.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def least() -> Callable[..., float]:
    """least(measure, limit): the least of what measure() gives, which is asked until it is under the limit.

    It is asked for half a minute, seven times at least: what other programs on the machine cost is not ours.
    """

    def ask(measure: Callable[[], float], limit: float) -> float:
        until_s, found = time.monotonic() + 30, [measure()]
        while min(found) >= limit and (len(found) < 7 or time.monotonic() < until_s):
            found.append(measure())
        return min(found)

    return ask


# answers self-tests in the order in which they come, as `python -m perceptum.neuropod.pack.selftest` answers one
WARM = """
import json, os, sys, tempfile, traceback
from perceptum.neuropod.pack import selftest

answers = os.fdopen(int(sys.argv[1]), "w")
for line in sys.stdin:
    words, folder, variables = json.loads(line)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    tempfile.tempdir = None
    status = 0
    try:
        selftest._main(*words)
    except BaseException:
        traceback.print_exc()
        status = 1
    print(status, file=answers, flush=True)
"""


class WarmProcess:
    """Stands in for the module `subprocess` in neuropod/pack/selftest.py: one process answers many self-tests.

    A framework is loaded there once, which takes seconds. A model that ends the process ends it here too.
    """

    def __init__(self, folder: Path) -> None:
        self._stderr = folder / "stderr"
        self._running: subprocess.Popen[str] | None = None

    def run(self, command: Sequence[str], env: dict[str, str], **_: object) -> subprocess.CompletedProcess[str]:
        *start, path, source, answer, wanted = command
        assert start == [sys.executable, "-P", "-m", "perceptum.neuropod.pack.selftest"]
        running = self._running or self._start(env)
        assert running.stdin is not None
        said_before = self._stderr.stat().st_size
        asked = [[path, source, answer, wanted], os.getcwd(), env]
        print(json.dumps(asked), file=running.stdin, flush=True)
        line = self._answers.readline()
        status = int(line) if line else self.close()
        with self._stderr.open(errors="replace") as file:
            file.seek(said_before)
            return subprocess.CompletedProcess(command, status, "", file.read())

    def _start(self, env: dict[str, str]) -> subprocess.Popen[str]:
        reading, writing = os.pipe()
        command = [sys.executable, "-P", "-c", WARM, str(writing)]
        with self._stderr.open("a") as stderr, open(os.devnull, "w") as stdout:
            self._running = subprocess.Popen(
                command, env=env, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr, text=True, pass_fds=[writing]
            )
        os.close(writing)
        self._answers = os.fdopen(reading)
        return self._running

    def close(self) -> int:
        """Ends the process, where there is one, and returns its exit status."""
        running, self._running = self._running, None
        if running is None:
            return 0
        assert running.stdin is not None
        running.stdin.close()
        self._answers.close()
        return running.wait()


@pytest.fixture(scope="session")
def _warm_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmProcess]:
    process = WarmProcess(tmp_path_factory.mktemp("warm"))
    yield process
    process.close()


@pytest.fixture
def warm(_warm_process: WarmProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """The self-tests of packing and verification share a process here.

    For tests that ask what a self-test finds, and not that it runs in a fresh process: tests/neuropod/test_selftest.py
    asks that, and what the commands of the docs and the demo pack is tested as everywhere.
    """
    from perceptum.neuropod.pack import selftest

    monkeypatch.setattr(selftest, "subprocess", _warm_process)


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], None]:
    """index("name==version"): skips the test, with pip's own reason, where pip cannot download that."""
    asked: dict[str, str] = {}

    def ask(requirement: str) -> None:
        if requirement not in asked:
            folder = str(tmp_path_factory.mktemp("downloaded"))
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--retries", "1", "-d", folder]
            done = subprocess.run([*command, requirement], capture_output=True, text=True, check=False)
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
            asked[requirement] = "".join(said[-1:]) if done.returncode else ""
        if asked[requirement]:
            pytest.skip(f"pip cannot download {requirement} here: {asked[requirement]}")

    return ask


class MemorySource:
    """A log of given sweeps: what a dataset reader would answer, without a file."""

    dataset, name, location = "memory", "made by a test", "memory"

    def __init__(self, sweeps: Sequence[LidarSweep], poses: Poses | None, times_ns: Sequence[int] | None) -> None:
        self.sweeps: dict[str, list[LidarSweep]] = {}
        for sweep in sorted(sweeps, key=lambda s: s.time_ns):
            self.sweeps.setdefault(sweep.sensor, []).append(sweep)
        self.lidars = {
            name: np.array([s.time_ns for s in own], dtype=np.int64)
            for name, own in ((n, self.sweeps[n]) for n in dict.fromkeys(s.sensor for s in sweeps))
        }
        self.radars: dict[str, np.ndarray] = {}
        self.cameras: dict[str, np.ndarray] = {}
        stamps = sorted({s.time_ns for s in sweeps}) if times_ns is None else times_ns
        self.times_ns = np.array(stamps, dtype=np.int64)
        self.poses = Poses.fixed(self.times_ns) if poses is None else poses
        self.sequential = True

    def read_lidar(self, sensor: str, index: int) -> LidarSweep:
        return self.sweeps[sensor][index]

    def read_radar(self, sensor: str, index: int):
        raise MissingRecord(f"no radar '{sensor}'")

    def read_camera(self, camera: str, index: int):
        raise MissingRecord(f"no camera '{camera}'")

    def read_labels(self, time_ns: int) -> Labels | None:
        return None

    def read_map(self) -> HDMap | None:
        return None


@pytest.fixture(scope="session")
def memory_log() -> Callable[..., Log]:
    """memory_log(sweeps, poses=None, times_ns=None): a Log of those sweeps; without poses the car stands still."""

    def make(sweeps: Sequence[LidarSweep], poses: Poses | None = None, times_ns: Sequence[int] | None = None) -> Log:
        return Log(MemorySource(sweeps, poses, times_ns))

    return make


@pytest.fixture
def in_a_fork():
    """in_a_fork(work, most_s, what) runs `work` in a forked child, whose exit status is what it returns: 0 where all is
    well. After so many seconds `what` is locked up."""

    def run(work: Callable[[], int], most_s: float, what: str) -> None:
        child = os.fork()
        if child == 0:
            # in a process of its own: an interrupt that comes late must not meet the test's own machinery
            status = 1
            try:
                status = work()
            finally:
                os._exit(status)
        deadline = time.monotonic() + most_s
        while True:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                break
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                pytest.fail(f"{what} is locked up")
            time.sleep(0.05)
        assert os.waitstatus_to_exitcode(status) == 0

    return run
