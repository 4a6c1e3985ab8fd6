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
    NeuropodError          a package or a model; also a RuntimeError  (perceptum.neuropod)
    UsageError             a command or call was given nonsense
"""

from __future__ import annotations

from perceptum.features import SchemaMismatch, SpecError, UnknownFeature
from perceptum.inputs import BadOption, BrokenRecord, LogError, MissingRecord, NotALog, PoseUnknown
from perceptum.neuropod import NeuropodError

__all__ = [
    "BadOption",
    "BrokenRecord",
    "LogError",
    "MissingRecord",
    "NeuropodError",
    "NotALog",
    "PoseUnknown",
    "SchemaMismatch",
    "SpecError",
    "UnknownFeature",
    "UsageError",
]


class UsageError(ValueError):
    """A command or call was given something that makes no sense."""
