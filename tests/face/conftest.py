"""What the face's tests share: the command line in this process and in its own, one demo, small packages and logs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SMALL = "synthetic:frames=3,beams=16,azimuth_steps=300"
CALIBRATION = """P0: 700 0 600 0 0 700 180 0 0 0 1 0
P1: 700 0 600 -380 0 700 180 0 0 0 1 0
P2: 700 0 600 45 0 700 180 -0.3 0 0 1 0.005
P3: 700 0 600 -335 0 700 180 2.3 0 0 1 0.003
R0_rect: 1 0 0 0 1 0 0 0 1
Tr_velo_to_cam: 0 -1 0 -0.02 0 0 -1 -0.06 1 0 0 -0.33
Tr_imu_to_velo: 1 0 0 -0.8 0 1 0 0.3 0 0 1 -0.8
"""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.status == 0, self.err
        return json.loads(self.out)


@pytest.fixture(scope="session")
def perceptum() -> Callable[..., Done]:
    """perceptum("info", LOG, cwd=folder, VARIABLE=value): a command in a process of its own, which costs seconds."""

    def run(*words: object, cwd: Path | None = None, **variables: str) -> Done:
        command = [sys.executable, "-m", "perceptum", *map(str, words)]
        env = {**os.environ, **variables}
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=200)
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def command(monkeypatch, capfd, tmp_path) -> Callable[..., Done]:
    """command("info", LOG): a command in this process, in an empty folder, which is `tmp_path`."""
    from perceptum.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["perceptum", *map(str, words)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        return Done(int(stopped.value.code or 0), *capfd.readouterr())

    return run


@pytest.fixture
def refusal(command) -> Callable[..., tuple[int, str]]:
    """refusal(*words) -> (status, the one line on standard error); nothing else may be said, nothing left behind."""

    def run(*words: object) -> tuple[int, str]:
        before = sorted(Path().rglob("*"))
        done = command(*words)
        assert done.status != 0
        assert done.out == ""
        assert done.err.startswith("perceptum: ")
        assert done.err.count("\n") == 1
        assert sorted(Path().rglob("*")) == before
        return done.status, done.err.removeprefix("perceptum: ").removesuffix("\n")

    return run


@dataclass(frozen=True)
class Demo:
    folder: Path
    done: Done


@pytest.fixture(scope="session")
def perceptum_once(perceptum, once) -> Callable[..., tuple[Path, Done]]:
    """perceptum_once("name", words, prepare): the folder in which a command ran once for all workers, and its end.

    `words` and `prepare`, which comes before the command, are given the folder.
    """

    def run(name: str, words: Callable[[Path], tuple], prepare: Callable[[Path], None] = lambda _: None):
        def make(folder: Path) -> None:
            prepare(folder)
            (folder / "done.json").write_text(json.dumps(asdict(perceptum(*words(folder)))))

        folder = once(name, make)
        return folder, Done(**json.loads((folder / "done.json").read_text()))

    return run


@pytest.fixture(scope="session")
def demo(perceptum_once) -> Demo:
    """`perceptum demo --frames 3 --seed 7 --json`, run once."""
    for module in ("torch", "tensorflow", "matplotlib"):
        pytest.importorskip(module, reason=f"the demo needs {module}")
    words = ("demo", "--frames", 3, "--seed", 7, "--json", "--out")
    return Demo(*perceptum_once("demo", lambda folder: (*words, folder / "made")))


@pytest.fixture(scope="session")
def bev_detector(demo) -> Path:
    """The demo's TorchScript package."""
    return demo.folder / "made" / "bev_detector.neuropod"


@pytest.fixture(scope="session")
def code_package(tmp_path_factory) -> Callable[..., Path]:
    """code_package(source, outputs, inputs=...) -> a package whose model is the Python function `model` of a source."""
    from perceptum.neuropod import create_python_neuropod

    def make(source: str, outputs: list[dict[str, Any]], name: str = "made of code", **options: Any) -> Path:
        work = tmp_path_factory.mktemp("code")
        (work / "code").mkdir()
        (work / "code" / "written_here.py").write_text(f"import numpy as np\n{source}\ndef make(data): return model\n")
        create_python_neuropod(
            neuropod_path=str(work / "model.neuropod"),
            model_name=name,
            input_spec=options.pop("inputs", [{"name": "ego_pose", "dtype": "float64", "shape": [4, 4]}]),
            output_spec=outputs,
            data_paths=[],
            code_path_spec=[{"python_root": str(work / "code"), "dirs_to_package": [""]}],
            entrypoint_package="written_here",
            entrypoint="make",
            **options,
        )
        return work / "model.neuropod"

    return make


@pytest.fixture
def unpacked(tmp_path_factory) -> Callable[[Path], Path]:
    """unpacked(zip) -> a copy as a folder, without manifest, to be changed at will."""

    def unpack(package: Path) -> Path:
        folder = tmp_path_factory.mktemp("unpacked") / "model"
        zipfile.ZipFile(package).extractall(folder)
        (folder / "manifest.json").unlink()
        return folder

    return unpack


@pytest.fixture
def kitti(tmp_path_factory) -> Path:
    """A KITTI object folder of two frames, 0 and 1, with labels."""
    split = tmp_path_factory.mktemp("kitti") / "training"
    for folder in ("velodyne", "calib", "label_2"):
        (split / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(2):
        points = rng.uniform([-20, -20, -2, 0], [20, 20, 1, 1], (500, 4)).astype("<f4")
        (split / "velodyne" / f"{number:06}.bin").write_bytes(points.tobytes())
        (split / "calib" / f"{number:06}.txt").write_text(CALIBRATION)
        (split / "label_2" / f"{number:06}.txt").write_text(
            "Car 0.00 0 -1.33 333.28 177.65 489.60 277.55 1.50 1.78 3.69 -3.0 1.5 12.0 -1.57\n"
        )
    yield split.parent
    shutil.rmtree(split.parent)
