"""The distributions that the house's tests look into, each made once."""

from __future__ import annotations

import shutil
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
def checkout(once: Callable[..., Path]) -> Path:
    """A copy, links and all, of what git tracks or would after `git add`: nobody edits it while tests look."""
    # a checkout may be another user's; git would say nothing of it
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("git knows nothing of this folder: it is not a checkout")

    def copy_to(folder: Path) -> None:
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_symlink() or (ROOT / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)

    return once("checkout", copy_to)


@pytest.fixture(scope="session")
def build() -> Callable[..., None]:
    """build(source, out, "--wheel", "--sdist") builds a folder's distributions with the packages that are here."""
    pytest.importorskip("build", reason="building needs the package 'build'")
    pytest.importorskip("hatchling", reason="building needs the package 'hatchling'")
    return _build


@pytest.fixture(scope="session")
def distributions(build: Callable[..., None], checkout: Path, once: Callable[..., Path]) -> tuple[Path, Path]:
    """The wheel and the sdist of this checkout, in which code has already run."""

    def build_in(folder: Path) -> None:
        cache = checkout / "features" / "__pycache__"
        cache.mkdir()
        (cache / "kernel.cpython-311.pyc").touch()
        (cache / "kernel.square-1.py311.nbi").touch()
        build(checkout, folder, "--wheel", "--sdist")

    out = once("distributions", build_in)
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))
