"""The wheel holds the package and nothing else, from whatever source it is built."""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

FOLDERS = ("features", "inputs", "datasets", "builders", "neuropod")

pytestmark = pytest.mark.slow


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def papers(wheel: Path) -> str:
    """The folder beside the package, named after the version."""
    return "-".join(wheel.name.split("-")[:2]) + ".dist-info"


def expected_modules(checkout: Path) -> dict[str, bytes]:
    """Path in the wheel -> bytes, of every .py file of the five folders and of the face."""
    face = checkout / "src" / "perceptum"
    found = {
        f"perceptum/{path.relative_to(face)}": path
        for path in face.rglob("*.py")
        if path.relative_to(face).parts[0] not in FOLDERS
    }
    for folder in FOLDERS:
        found |= {f"perceptum/{path.relative_to(checkout)}": path for path in (checkout / folder).rglob("*.py")}
    return {name: path.read_bytes() for name, path in found.items()}


def without_links(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if (Path(folder) / name).is_symlink()}


def test_the_wheel_holds_exactly_the_tracked_modules(distributions, checkout):
    modules = {name: data for name, data in contents(distributions[0]).items() if name.endswith(".py")}
    expected = expected_modules(checkout)
    assert sorted(modules) == sorted(expected)
    assert modules == expected


def test_the_wheel_holds_nothing_but_the_package_and_its_papers(distributions):
    with zipfile.ZipFile(distributions[0]) as archive:
        infos = archive.infolist()
    names = [info.filename for info in infos]
    assert len(names) == len(set(names))
    assert {name.split("/")[0] for name in names} == {"perceptum", papers(distributions[0])}
    assert [name for name in names if "/tests/" in name or name.endswith((".pyc", ".nbi", ".nbc"))] == []
    assert [info.filename for info in infos if stat.S_ISLNK(info.external_attr >> 16)] == []
    assert {"perceptum/py.typed", f"{papers(distributions[0])}/licenses/LICENSE"} <= set(names)


def test_a_wheel_from_the_sdist_is_the_same(build, distributions, tmp_path):
    wheel, sdist = distributions
    with tarfile.open(sdist) as archive:
        assert [member.name for member in archive if member.issym() or member.islnk()] == []
    shutil.unpack_archive(sdist, tmp_path)
    build(tmp_path / sdist.name.removesuffix(".tar.gz"), tmp_path / "again", "--wheel")
    assert contents(next((tmp_path / "again").glob("*.whl"))) == contents(wheel)


@pytest.mark.parametrize("links", ["left out", "as text files"])
def test_a_wheel_from_an_archive_without_links_is_the_same(build, checkout, distributions, tmp_path, links):
    source = shutil.copytree(checkout, tmp_path / "source", ignore=without_links)
    if links == "as text files":
        # git on a file system that has no links writes where they would lead
        for folder in FOLDERS:
            (source / "src" / "perceptum" / folder).write_text(f"../../{folder}")
    build(source, tmp_path / "out", "--wheel")
    assert contents(next((tmp_path / "out").glob("*.whl"))) == contents(distributions[0])


def test_the_wheel_says_what_it_needs_and_what_it_runs(distributions):
    files = contents(distributions[0])
    metadata = files[f"{papers(distributions[0])}/METADATA"].decode()
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.11" in metadata
    needed = {
        line.split()[1] for line in metadata.splitlines() if line.startswith("Requires-Dist:") and ";" not in line
    }
    assert not any(name.startswith(("torch", "tensorflow", "open3d")) for name in needed)
    commands = files[f"{papers(distributions[0])}/entry_points.txt"].decode()
    assert "perceptum = perceptum.cli:main" in commands
