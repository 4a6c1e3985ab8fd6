"""The error tree on one screen.

ValueError
    LogError               a log: its folder, files, records          (perceptum.inputs)
        NotALog            no format that we know
            BadOption      an option of a dataset that cannot be
        BrokenRecord       there, but cannot be read
        MissingRecord      asked for, but not there
        PoseUnknown        no pose at that time
    SpecError              a spec: what cannot be met                 (perceptum.features)
        UnknownFeature     no such name
        SchemaMismatch     the package's features mean something else today
    BuildError             a stage failed: ours, or a plug-in's       (perceptum.builders)
    NeuropodError          a package or a model; also a RuntimeError  (perceptum.neuropod)
        NotAPackage        no package at that path
        NotTrusted         the package is code, and may not run here
    UsageError             a command or call was given nonsense
RuntimeError
    LoaderError            a batch cannot be had                      (perceptum.loading)
        WorkerDied         a worker ended, was killed, or crashed
        StateMismatch      a saved state is of another run; also a ValueError
"""

from __future__ import annotations

from perceptum.features import SchemaMismatch, SpecError, UnknownFeature
from perceptum.features.errors import BuildError
from perceptum.inputs import BadOption, BrokenRecord, LogError, MissingRecord, NotALog, PoseUnknown
from perceptum.neuropod import NeuropodError
from perceptum.neuropod.errors import NotAPackage, NotTrusted

__all__ = [
    "BadOption",
    "BrokenRecord",
    "BuildError",
    "LoaderError",
    "LogError",
    "MissingRecord",
    "NeuropodError",
    "NotALog",
    "NotAPackage",
    "NotTrusted",
    "PoseUnknown",
    "SchemaMismatch",
    "SpecError",
    "StateMismatch",
    "UnknownFeature",
    "UsageError",
    "WorkerDied",
]


class UsageError(ValueError):
    """A command or call was given something that makes no sense."""


class LoaderError(RuntimeError):
    """A loader cannot give a batch."""


class WorkerDied(LoaderError):
    """A loader's worker ended, was killed, or crashed; the message says over which sample, and how."""


class StateMismatch(LoaderError, ValueError):
    """A saved state is of other data, another spec, or another order than the loader's."""
