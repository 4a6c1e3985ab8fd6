"""The pinned versions: every package that is asked for, one exact public version each."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[0-9][A-Za-z0-9.]*)$")
OURS = "constraints.txt"


def lines_of(file: str) -> list[str]:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def pins(file: str = OURS) -> dict[str, str]:
    """Package -> version; a line that is not a plain pin (a path, a host, a local build) is refused here."""
    matches = [(line, PIN.match(line)) for line in lines_of(file)]
    assert [line for line, match in matches if match is None] == []
    return {canonicalize_name(match["name"]): match["version"] for _, match in matches if match}


def file_of(group: str) -> str:
    """Where the versions of a dependency group are: in a file of its own, where it cannot share ours."""
    own = f"constraints-{group}.txt"
    return own if (ROOT / own).is_file() else OURS


def asked_for() -> list[tuple[str, Requirement]]:
    """Every requirement that pyproject.toml names, our own extras apart, with the file that has its version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras, groups = project["project"]["optional-dependencies"], project["dependency-groups"]
    lines = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    lines += [line for extra in extras.values() for line in extra]
    found = [(OURS, line) for line in lines]
    found += [(file_of(name), line) for name, group in groups.items() for line in group]
    return [(file, r) for file, line in found if (r := Requirement(line)).name != "perceptum"]


@pytest.mark.parametrize("file", sorted({file for file, _ in asked_for()}))
def test_each_line_is_one_public_version(file):
    assert len(pins(file)) == len(lines_of(file))


@pytest.mark.parametrize(("file", "wanted"), asked_for(), ids=str)
def test_what_the_project_asks_for_is_pinned_within_its_range(file, wanted):
    assert wanted.specifier.contains(pins(file)[canonicalize_name(wanted.name)])


def test_the_versions_others_rely_on_hold():
    assert pins()["torch"] == "2.13.0"
    assert Version("6.33.5") <= Version(pins()["protobuf"]) < Version("8")


def test_what_the_pinned_packages_need_is_pinned_too():
    here = {canonicalize_name(name) for name in (d.metadata["Name"] for d in metadata.distributions()) if name}
    needed = {
        canonicalize_name(requirement.name)
        for name in set(pins()) & here
        for requirement in map(Requirement, metadata.requires(name) or [])
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    }
    # PyPI's torch brings its own pinned CUDA packages, which a CPU build has not
    own = {name for name in needed if name.startswith(("nvidia-", "cuda-", "triton"))}
    assert needed - own <= set(pins())


OPEN3D_TAKES_POINTS = """
import numpy, open3d
points = numpy.arange(12, dtype=numpy.float32).reshape(4, 3)
cloud = open3d.t.geometry.PointCloud(open3d.core.Tensor.from_numpy(points))
assert numpy.array_equal(cloud.point.positions.numpy(), points)
"""


def test_the_pinned_open3d_takes_points_beside_the_pinned_numpy():
    # in a process of its own: it loads graphics libraries
    done = subprocess.run([sys.executable, "-c", OPEN3D_TAKES_POINTS], capture_output=True, text=True, check=False)
    last = (done.stderr.strip().splitlines() or [""])[-1]
    if last.startswith(("ImportError", "ModuleNotFoundError", "OSError")):
        pytest.skip(f"open3d cannot be imported ({last}); `make system-libs` installs what it loads")
    assert done.returncode == 0, done.stderr


def test_the_version_is_the_same_everywhere():
    import perceptum

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert perceptum.__version__ == project["version"]
