"""The distributions that the house's tests look into, each made once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _build(source: Path, out: Path, *kinds: str) -> None:
    command = [sys.executable, "-m", "build", "--no-isolation", *kinds, "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def source_files() -> list[Path]:
    """What git tracks, or would after `git add`, relative to the repository; links are in it."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("git knows nothing of this folder: it is no checkout")
    files = [Path(name) for name in listed.split("\0") if name]
    return [file for file in files if (ROOT / file).is_symlink() or (ROOT / file).exists()]


@pytest.fixture(scope="session")
def build() -> Callable[..., None]:
    """build(source, out, "--wheel", "--sdist") builds a folder's distributions with the packages that are here."""
    pytest.importorskip("build", reason="building needs the package 'build'")
    pytest.importorskip("hatchling", reason="building needs the package 'hatchling'")
    return _build


@pytest.fixture(scope="session")
def distributions(build: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the sdist of this checkout."""
    out = tmp_path_factory.mktemp("dist")
    build(ROOT, out, "--wheel", "--sdist")
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))
