"""Whether a package is complete and works on this machine: one step after the other, each with what it found."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from perceptum.features import Row
from perceptum.foreign import foreign, said

from ..backends import find_backend
from ..errors import NeuropodError, NotTrusted
from ..frameworks.versions import check_version
from ..package import manifest, test_data
from ..package.package import Package, open_package
from ..package.trust import Trust, check_trust
from ..validation import compile_checks
from . import selftest
from .inspection import needs_trust

__all__ = ["Step", "verify_package"]


@dataclass(frozen=True)
class Step:
    """One check."""

    check: str
    ok: bool | None
    """None where nothing was checked, since the package brings nothing for it or an earlier step failed."""
    found: str


_ADDING = "pack it again with `perceptum pack --test-data NPZ`, or with test_input_data= and test_expected_out="


class _NotChecked(Exception):
    """Says why."""


def verify_package(path: str | os.PathLike[str], trust: bool = False) -> list[Step]:
    """Returns the steps; those after a broken package are not there, code that is not trusted is not run.

    The model is loaded and run in a fresh process, on the test data that the package keeps.
    """
    try:
        package = open_package(path)
    except NeuropodError as error:
        return [Step("package", False, str(error))]
    try:
        given = Trust.GIVEN if trust else Trust.NOT_GIVEN
        return [_taken(check, find) for check, find in _checks(package, given).items()]
    finally:
        package.files.close()


def _checks(package: Package, trust: Trust) -> Mapping[str, Callable[[], str]]:
    child = _Child(package, trust)
    return {
        "manifest": lambda: _manifest(package),
        "schema": lambda: _schema(package),
        "framework": lambda: _framework(package),
        "test data": lambda: _test_data(package),
        "symbols": lambda: _symbols(package),
        "trust": child.trust,
        "load and self-test": child.load,
    }


def _taken(check: str, find: Callable[[], str]) -> Step:
    try:
        return Step(check, True, find())
    except _NotChecked as reason:
        return Step(check, None, str(reason))
    except NeuropodError as error:
        return Step(check, False, str(error))


def _manifest(package: Package) -> str:
    if package.has(manifest.FILE_NAME):
        return f"{len(package.files.names) - 1} files are those of {manifest.FILE_NAME}"
    raise _NotChecked(f"no {manifest.FILE_NAME}, so nothing says what the files should be; old packages have none")


def _schema(package: Package) -> str:
    package.metadata.check()
    features = (package.metadata.schema or {}).get("features") or {}
    if not features:
        raise _NotChecked("the package records no features")
    return f"{len(features)} features mean what they meant"


def _framework(package: Package) -> str:
    config = package.config
    backend = find_backend(config.platform)
    with foreign("the backend cannot say its version", NeuropodError):
        version = backend.version()
    if config.platform_version_semver == "*":
        return f"{config.platform} {version}, any is wanted"
    check_version(config.platform, version, config.platform_version_semver)
    return f"{config.platform} {version}, wanted {config.platform_version_semver}"


def _test_data(package: Package) -> str:
    given, expected = _stored(package)
    if given is None:
        raise _NotChecked(f"the package keeps none; {_ADDING}")
    compile_checks(package.config.inputs, "input spec", "full")(_arrays(given))
    return f"{len(given)} inputs, {len(expected or {})} expected outputs"


def _symbols(package: Package) -> str:
    """A symbol that inputs and outputs share should have one size; Uber's readers never looked."""
    given, expected = _stored(package)
    sides = ((package.config.inputs, given), (package.config.outputs, expected))
    names = [{d for row in rows for d in row.shape if isinstance(d, str)} for rows, _ in sides]
    sizes: dict[str, int] = {}
    for rows, tensors in sides:
        for symbol, size, where in _sizes(rows, _arrays(tensors or {})):
            if sizes.setdefault(symbol, size) != size:
                raise NeuropodError(f"symbol '{symbol}' is {sizes[symbol]} before and {size} in '{where}'")
    shared = f"shared by inputs and outputs: {', '.join(sorted(names[0] & names[1])) or 'none'}"
    if not sizes:
        if not names[0] | names[1]:
            raise _NotChecked("the spec has none")
        why = "no sizes without test data" if given is None else "no sizes: the test data has none of their tensors"
        raise _NotChecked(f"{why}; {shared}")
    return f"{', '.join(f'{symbol}={size}' for symbol, size in sorted(sizes.items()))}; {shared}"


def _sizes(rows: tuple[Row, ...], tensors: Mapping[str, Any]) -> list[tuple[str, int, str]]:
    found = []
    for row in rows:
        array = tensors.get(row.name)
        if array is not None and array.ndim == len(row.shape):
            found += [(d, s, row.name) for d, s in zip(row.shape, array.shape, strict=True) if isinstance(d, str)]
    return found


class _Child:
    """The package in a fresh process, run once for the two steps that tell of it."""

    def __init__(self, package: Package, trust: Trust) -> None:
        self._package = package
        self._trust = trust

    @cached_property
    def _ran(self) -> selftest.Ran | NeuropodError:
        try:
            given, _ = _stored(self._package)
            return selftest.run_in_new_process(Path(self._package.path), given, {}, self._trust)
        except NeuropodError as error:
            return error

    def trust(self) -> str:
        reason = needs_trust(self._package)
        if reason is not None:
            check_trust(reason, self._trust)
        elif isinstance(self._ran, NotTrusted):
            raise self._ran
        elif isinstance(self._ran, NeuropodError):
            raise _NotChecked("the model does not load, so it was not examined")
        else:
            reason = self._ran.code
        return f"code ({reason}), and trusted" if reason is not None else "data, not code"

    def load(self) -> str:
        if isinstance(self._ran, NotTrusted):
            raise _NotChecked("code that is not trusted is not run; --trust, or trust=True, runs it")
        if isinstance(self._ran, NeuropodError):
            raise self._ran
        given, expected = _stored(self._package)
        outputs = self._ran.outputs
        if given is None:
            return "loads in a fresh process; not run, since the package keeps no test data"
        if expected is None:
            return f"ran in a fresh process; no expected outputs; it returned {', '.join(outputs)}"
        selftest.compare(outputs, expected)
        return f"ran in a fresh process; {', '.join(expected)} as expected"


def _stored(package: Package) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    if not package.has(test_data.FILE_NAME):
        return None, None
    stored = test_data.load(package.read(test_data.FILE_NAME))
    if not isinstance(stored, dict):
        raise NeuropodError(
            f"{test_data.FILE_NAME}: must hold test_input and test_output, holds {type(stored).__name__}"
        )
    return _side(stored, "test_input"), _side(stored, "test_output")


def _side(stored: Mapping[str, Any], key: str) -> dict[str, Any] | None:
    side = stored.get(key)
    if side is not None and not isinstance(side, dict):
        raise NeuropodError(f"{test_data.FILE_NAME}: {key} must be a dict of arrays, is {type(side).__name__}")
    return side


def _arrays(tensors: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {name: np.asarray(value) for name, value in tensors.items()}
    except ValueError as error:  # lists of unlike lengths
        raise NeuropodError(f"{test_data.FILE_NAME}: holds something that is not an array ({said(error)})") from error
