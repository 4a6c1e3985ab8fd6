"""What the tests of evaluations share: a problem in a file, models of few lines, packages of them, a small drive."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import perceptum as pc
from perceptum.neuropod import create_python_neuropod

PROBLEM = Path(__file__).with_name("boxes_counted.py")
DRIVE = "synthetic:frames=4,beams=8,azimuth_steps=100"
COUNT = [{"name": "count", "dtype": "float64", "shape": []}]
POSE = [{"name": "ego_pose", "dtype": "float64", "shape": [4, 4]}]
# each meets its frames in order: what is at fault on the frame number 2 is so on the third call
SOURCES = {
    "steady": "def model(ego_pose): return {'count': np.array(70.0)}",
    "raises": """
calls = []
def model(ego_pose):
    calls.append(0)
    if len(calls) == 3:
        raise KeyError('no such thing\\nand more')
    return {'count': np.array(75.0)}""",
    # a process that is new begins to count anew: it looks at where the vehicle is
    "dies": """
import os, signal
def model(ego_pose):
    if ego_pose[0, 3] == DIES_AT:
        os.kill(os.getpid(), signal.SIGKILL)
    return {'count': np.array(76.0)}""",
    "breaks": """
calls = []
def model(ego_pose):
    calls.append(0)
    said = [np.array(75.0), np.array(np.nan), np.array([1.0, 2.0]), np.array(75, np.int32)]
    return {'count': said[len(calls) - 1]}""",
    "hangs": """
import time
def model(ego_pose):
    if ego_pose[0, 3] == DIES_AT:
        time.sleep(600)
    return {'count': np.array(75.0)}""",
    "threads": """
import os
def model(ego_pose): return {'count': np.array(float(os.environ['OMP_NUM_THREADS']))}""",
    # a program outside of a sandbox sees the processes of others; inside it, its own alone
    "sees": """
import os
def model(ego_pose): return {'count': np.array(float(sum(name.isdigit() for name in os.listdir('/proc'))))}""",
    "never": "def model(ego_pose): raise RuntimeError('out of order')",
}


class Counts:
    """A model that is an object of the test: it says what `answer` does of its inputs."""

    outputs = COUNT

    def __init__(self, name: str, answer: Callable, inputs=None) -> None:
        self.name = name
        self.inputs = POSE if inputs is None else inputs
        self._answer = answer

    def infer(self, inputs):
        return {"count": np.float64(self._answer(**inputs))}


@pytest.fixture(scope="session")
def counts():
    """counts(name, answer, inputs): a model that answers as a function of the test does."""
    return Counts


@pytest.fixture(scope="session")
def problem():
    """The problem of boxes_counted.py, as an object."""
    spec = importlib.util.spec_from_file_location("boxes_counted", PROBLEM)
    module = importlib.util.module_from_spec(spec)
    sys.modules["boxes_counted"] = module
    spec.loader.exec_module(module)
    return module.BoxesCounted()


@pytest.fixture(scope="session")
def problem_file() -> str:
    """The same, by the name that commands and `pc.evaluate` take."""
    return str(PROBLEM)


@pytest.fixture(scope="session")
def drive_name() -> str:
    return DRIVE


@pytest.fixture(scope="session")
def drive():
    return pc.open_log(DRIVE)


@pytest.fixture(scope="session")
def packages(once, drive) -> dict[str, Path]:
    """Name -> a package whose model is that of SOURCES."""
    dies_at = float(pc.InputBuilder(["ego_pose"]).build(drive[2])["ego_pose"][0, 3])

    def make(folder: Path) -> None:
        for name, source in SOURCES.items():
            code = folder / name
            code.mkdir()
            written = f"import numpy as np\nDIES_AT = {dies_at!r}\n{source}\ndef make(data): return model\n"
            (code / "written_here.py").write_text(written)
            create_python_neuropod(
                neuropod_path=str(folder / f"{name}.neuropod"),
                model_name=f"{name} model",
                input_spec=POSE,
                output_spec=COUNT,
                data_paths=[],
                code_path_spec=[{"python_root": str(code), "dirs_to_package": [""]}],
                entrypoint_package="written_here",
                entrypoint="make",
            )

    folder = once("counting packages", make)
    return {name: folder / f"{name}.neuropod" for name in SOURCES}
