"""Which Python runs a package: this one where it does, else the environment that fits it best."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ...backends import find_backend
from ...errors import NeuropodError
from ...package.config import Config
from ...uber.preinstall import preinstalled
from ..worker.runners import PLATFORMS as LEAN
from .environment import Environment
from .installed import canonical_name, installed_packages
from .need import Fit, Need
from .registry import HERE, find, registered

__all__ = ["THIS", "Interpreter", "choose"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Interpreter:
    """The Python that a worker is started with."""

    python: str
    """Its path."""
    name: str
    """As the user knows it."""
    lean: bool
    """Whether perceptum cannot be imported there, so that the lean runners do the work."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables for it, besides this process's own."""
    paths: tuple[str, ...] = ()
    """What comes first on its sys.path: packages that were installed before for such packages as this."""
    packages: Mapping[str, str] = field(default_factory=dict)
    """What is installed there, canonical name -> version; empty for this Python."""


THIS = Interpreter(sys.executable, "this Python", lean=False)


def choose(config: Config, lock: str | None, wanted: str | None = None, *, package: str = "PKG") -> Interpreter:
    """Returns what to run a package with.

    lock: the text of its requirements.lock, if it has one. wanted: the name of an environment, or "this"; None leaves
    the choice: this Python if its framework is in the package's range and it has all that is locked, else the
    environment that has, of several that with the newest framework and then the newest Python, else one that has other
    versions of what is locked, with a warning. package: its path, for messages.

    Raises NeuropodError that says what is needed, what there is, and what would make one that fits.
    """
    need = Need.of(config, lock)
    if wanted is not None and wanted != HERE:
        return _named(need, find(wanted), package)
    here, paths = _here(need)
    if here.is_exact or (wanted == HERE and here.runs):
        return _this(here, paths, package)
    others = [] if wanted == HERE or config.platform not in LEAN else _fitting(need)
    if others and (not here.runs or others[0][0].is_exact):
        fit, environment = others[0]
        return _other(environment, fit, package)
    if here.runs:
        return _this(here, paths, package)
    raise NeuropodError(_nothing_fits(need, here, wanted, package))


def _here(need: Need) -> tuple[Fit, tuple[str, ...]]:
    """Returns how this Python fits, with what is installed before for such packages, and the folders of that."""
    before = preinstalled(need.pins)
    python, packages = platform.python_version(), installed_packages(sys.path)
    packages |= {canonical_name(name): version for name, version in before}
    fit = need.fit(python, packages)
    if not fit.has_framework:  # under another name, or in a way that only its backend knows
        backend = find_backend(need.platform)
        with contextlib.suppress(NeuropodError):
            fit = need.fit(python, {**packages, need.what: backend.version()})
    return fit, tuple(before.values())


def _fitting(need: Need) -> list[tuple[Fit, Environment]]:
    """Returns the environments that can run it, the best first."""
    found = []
    for environment in registered():
        if not environment.is_there:
            continue
        packages = environment.packages()
        fit = need.fit(environment.version, packages)
        if fit.runs and "numpy" in packages:
            found.append((fit, environment))
    newest = lambda f: (f[0].is_exact, f[0].version, tuple(map(int, f[1].version.split("."))))  # noqa: E731
    return sorted(found, key=newest, reverse=True)


def _named(need: Need, environment: Environment, package: str) -> Interpreter:
    name = environment.name
    if not environment.is_there:
        raise NeuropodError(
            f"the environment '{name}' is not there any more: {environment.python}; perceptum env remove {name}"
        )
    if need.platform not in LEAN and not _is_this(environment):
        raise NeuropodError(
            f"models of the platform '{need.platform}' run only where perceptum is, not in the environment '{name}'; "
            f"other Pythons run {', '.join(sorted(LEAN))}"
        )
    packages = environment.packages()
    fit = need.fit(environment.version, packages)
    if not fit.runs:
        raise NeuropodError(f"the package needs {need}; the environment '{name}' has {_shown(fit)}")
    if "numpy" not in packages:
        raise NeuropodError(f"the environment '{name}' has no numpy, which a worker needs")
    return _other(environment, fit, package)


def _this(fit: Fit, paths: tuple[str, ...], package: str) -> Interpreter:
    _warn(fit, package)
    return replace(THIS, paths=paths)


def _other(environment: Environment, fit: Fit, package: str) -> Interpreter:
    _warn(fit, package)
    lean = not _is_this(environment)
    programs = os.path.dirname(environment.python)
    path = os.pathsep.join(filter(None, (programs, os.environ.get("PATH"))))
    return Interpreter(
        environment.python,
        environment.name,
        lean,
        variables={"PATH": path, "VIRTUAL_ENV": environment.prefix} if lean else {},
        packages=environment.packages(),
    )


def _is_this(environment: Environment) -> bool:
    # two Pythons of a system share a prefix, /usr, and have packages of their own
    is_version = environment.version.split(".")[:2] == platform.python_version().split(".")[:2]
    return is_version and os.path.realpath(environment.prefix) == os.path.realpath(sys.prefix)


def _warn(fit: Fit, package: str) -> None:
    for name, version, found in fit.others:
        _log.warning("%s: made with %s %s, runs with %s", package, name, version, found)


def _shown(fit: Fit) -> str:
    missing = f" and not {', '.join(fit.missing)}" if fit.missing else ""
    return f"{fit.has}{missing}"


def _nothing_fits(need: Need, here: Fit, wanted: str | None, package: str) -> str:
    parts = [f"this Python has {_shown(here)}"]
    end = ""
    if need.platform not in LEAN:
        end = f"; models of the platform '{need.platform}' run only where perceptum is"
    elif wanted is None:
        parts += [f"environment '{environment.name}' {_state(need, environment)}" for environment in registered()]
        end = f"; 'perceptum env create NAME {package}' makes one that fits"
    return f"the package needs {need}: {', '.join(parts)}{end}"


def _state(need: Need, environment: Environment) -> str:
    if not environment.is_there:
        return "is not there any more"
    packages = environment.packages()
    fit = need.fit(environment.version, packages)
    return f"has {_shown(fit)}" + (" and no numpy" if fit.runs and "numpy" not in packages else "")
