"""The wheel, installed where no checkout is near, works, also in processes that it starts and with plug-ins."""

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
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
import perceptum as pc

log = pc.open_log("synthetic", frames=2, seed=0, beams=8, azimuth_steps=90)
builder = pc.InputBuilder(["lidar_bev_occupancy", "lidar_num_points"])
tensors = builder.build(log[1])
with ProcessPoolExecutor(1, get_context("spawn")) as workers:
    others = workers.submit(builder.build, log[1]).result()
assert all((tensors[name] == others[name]).all() for name in tensors)
print(pc.__file__)
print(*tensors["lidar_bev_occupancy"].shape, int(tensors["lidar_num_points"].sum()))
"""

# what a wheel could get wrong where it holds exactly the modules of the checkout, which test_wheel.py asks: how modules
# are named and found, by plug-ins and by processes that are started
FILES = ("conftest.py", "builders/conftest.py", "builders/strangers.py", "builders/test_plugins.py")
FILES += ("features/test_groups.py", "features/test_schema.py", "inputs/test_once.py", "inputs/test_recycled.py")


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


def test_the_tests_pass_against_the_installed_wheel(environment, checkout, tmp_path):
    for name in FILES:
        (tmp_path / "tests" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(checkout / "tests" / name, tmp_path / "tests" / name)
    shutil.copy2(checkout / "pyproject.toml", tmp_path)
    options = ["-o", "pythonpath=", "-p", "no:cacheprovider", "-q", "-m", "not slow and not data"]
    done = run(environment, tmp_path, "python", "-m", "pytest", *options)
    assert done.returncode == 0, done.stdout[-5000:]
