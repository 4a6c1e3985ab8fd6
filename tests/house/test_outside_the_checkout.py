"""The wheel, installed where no checkout is near, works and passes the tests of the house's rooms."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow

BUILD_A_FRAME = """
import perceptum as pc

log = pc.open_log("synthetic", frames=2, seed=0, beams=8, azimuth_steps=90)
tensors = pc.InputBuilder(["lidar_bev_occupancy", "lidar_num_points"]).build(log[1])
print(pc.__file__)
print(*tensors["lidar_bev_occupancy"].shape, int(tensors["lidar_num_points"].sum()))
"""


BUILDERS = (
    "conftest.py",
    "cameras.py",
    "radars.py",
    "strangers.py",
    "test_batches.py",
    "test_lanes.py",
    "test_plugins.py",
    "test_same_bytes.py",
    "test_wanted.py",
)


@pytest.fixture(scope="module")
def environment(distributions, once) -> Path:
    """A virtual environment with the wheel in it, which borrows this one's other packages."""

    def install(folder: Path) -> None:
        venv.create(folder, symlinks=True)
        packages = next((folder / "lib").glob("python*/site-packages"))
        # a path file inside a borrowed folder is not followed: an editable install there stays invisible
        (packages / "borrowed.pth").write_text("\n".join(site.getsitepackages()))
        pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "--disable-pip-version-check"]
        command = [*pip, "install", "--quiet", "--no-deps", "--no-index", "--force-reinstall", str(distributions[0])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    return once("environment", install)


def run(environment: Path, cwd: Path, *command: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    program = str(environment / "bin" / command[0])
    return subprocess.run([program, *command[1:]], cwd=cwd, env=env, capture_output=True, text=True, check=False)


def test_the_installed_wheel_builds_a_frame(environment, tmp_path):
    done = run(environment, tmp_path, "python", "-c", BUILD_A_FRAME)
    assert done.returncode == 0, done.stderr
    where, answer = done.stdout.splitlines()
    assert Path(where).is_relative_to(environment)
    assert all(int(number) > 0 for number in answer.split())


def test_the_installed_command_answers(environment, tmp_path):
    done = run(environment, tmp_path, "perceptum", "--help")
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout


# every kernel is compiled again there
@pytest.mark.timeout(1200)
def test_the_tests_pass_against_the_installed_wheel(environment, checkout, tmp_path):
    # what these test is all in the core, and needs no framework
    for folder in ("features", "inputs"):
        shutil.copytree(checkout / "tests" / folder, tmp_path / "tests" / folder)
    # of the builders' those that import every file, load plug-ins and send builders to other processes: what a wheel
    # could get wrong. All of them took as long there as all that is tested in the checkout
    builders = tmp_path / "tests" / "builders"
    builders.mkdir()
    for name in BUILDERS:
        shutil.copy2(checkout / "tests" / "builders" / name, builders)
    shutil.copy2(checkout / "tests" / "conftest.py", tmp_path / "tests")
    shutil.copy2(checkout / "pyproject.toml", tmp_path)
    options = ["-o", "pythonpath=", "-p", "no:cacheprovider", "-q", "-m", "not slow and not data"]
    done = run(environment, tmp_path, "python", "-m", "pytest", *options)
    assert done.returncode == 0, done.stdout[-5000:]
