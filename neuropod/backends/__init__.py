"""The frameworks: one file and one line in the table each. Others' come in by the entry points `perceptum.backends`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from numpy.typing import NDArray

from perceptum.foreign import foreign

from ..errors import NeuropodError
from ..frameworks.handoff import Empty
from ..package.package import Package

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["PLATFORMS", "Backend", "Runner", "RunnerInto", "find_backend", "load_plug_in"]

PLATFORMS = {
    "jax": "perceptum.neuropod.backends.jax",
    "onnx": "perceptum.neuropod.backends.onnx",
    "placeholder": "perceptum.neuropod.backends.placeholder",
    "python": "perceptum.neuropod.backends.python",
    "pytorch": "perceptum.neuropod.backends.python",
    "tensorflow": "perceptum.neuropod.backends.tensorflow",
    "torch_export": "perceptum.neuropod.backends.torch_export",
    "torchscript": "perceptum.neuropod.backends.torchscript",
}


class Runner(Protocol):
    """A model that is loaded and runs."""

    def run(self, inputs: Mapping[str, NDArray[Any]], wanted: Sequence[str]) -> Mapping[str, NDArray[Any]]:
        """Returns what the model gives, including the `wanted` outputs that it has.

        Inputs are C-contiguous, in native byte order, perhaps read-only; strings are of kind U, S or T. What is
        returned shares memory with no input and, code packages excepted, with nothing that the model keeps. Strings
        are returned as kind U.
        """
        ...

    def close(self) -> None:
        """Releases what the model holds; it does not run again."""
        ...


class RunnerInto(Runner, Protocol):
    """A runner for whose outputs there is a place: in a worker, memory that the caller shares."""

    def run_into(
        self, inputs: Mapping[str, NDArray[Any]], wanted: Sequence[str], empty: Empty
    ) -> Mapping[str, NDArray[Any]]:
        """As `run`, but what is returned is copied at once, unless it is what `empty` returned: so it may share memory
        with whatever it likes. Nothing is kept of an array of `empty`."""
        ...


class Backend(Protocol):
    """What a file of this folder offers: a module is one."""

    FRAMEWORK: str
    """Whose tensors `infer(..., outputs="native")` gives: "torch", "tensorflow" or "jax"; otherwise arrays."""
    RUNS_CODE: bool
    """Whether a package of this platform can do anything that a program can."""

    # and WRITES_IN_PLACE = True where a runner's `run_into` has the framework write into what `empty` returns

    def version(self) -> str:
        """Returns the framework's version; raises NeuropodError that says what to install."""
        ...

    def copy_reason(self, array: NDArray[Any]) -> str | None:
        """Returns why an input is copied on its way into the framework, or None; `handoff.why_copied` has the usual
        reasons."""
        ...

    def load(self, package: Package, visible_gpu: int | None) -> Runner:
        """Loads a package's model; None keeps it on the CPU."""
        ...


_PARTS = ("FRAMEWORK", "RUNS_CODE", "copy_reason", "load", "version")


def find_backend(platform: str) -> Backend:
    """Returns the backend of a platform; raises NeuropodError that names those there are."""
    if platform in PLATFORMS:
        return cast(Backend, importlib.import_module(PLATFORMS[platform]))
    # its import takes a fifth of a worker's start, and our own platforms need none of it
    from importlib.metadata import entry_points

    plugins = {entry.name: entry for entry in entry_points(group="perceptum.backends")}
    if platform in plugins:
        return load_plug_in(plugins[platform])
    known = ", ".join(sorted({*PLATFORMS, *plugins}))
    raise NeuropodError(f"no backend for the platform '{platform}'; there are {known}")


def load_plug_in(entry: EntryPoint) -> Backend:
    """Returns the backend of an entry point, one of others; raises NeuropodError that says why it cannot be used."""
    what = f"the backend '{entry.name}' ({entry.value})"
    with foreign(f"{what} cannot be imported", NeuropodError):
        found = entry.load()
        missing = [part for part in _PARTS if not hasattr(found, part)]
    if missing:
        raise NeuropodError(f"{what} is missing {', '.join(missing)}; update or uninstall it")
    return cast(Backend, found)
