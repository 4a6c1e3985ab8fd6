"""What an evaluation is of: the problem, the models, the frames. Only where that is the same a run goes on."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from perceptum import __version__
from perceptum.features import canonical
from perceptum.inputs import Dataset
from perceptum.plural import counted
from perceptum.problems import JudgedProblem

from .content import contents_of

__all__ = ["FramesSetup", "LogSetup", "ModelSetup", "ProblemSetup", "SchemaSetup", "Setup", "differences"]

FORMAT = 1
_SHOWN = 16
"""Hex digits of a digest in a message."""


class ProblemSetup(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    """As it was asked for: `detection3d:metric=kitti`."""
    title: str
    """As tables call it."""
    kind: str
    """Its class."""
    options: dict[str, Any]
    digest: str
    """SHA-256 of the file that its class is in."""
    lower_is_better: list[str]
    """Those of its numbers that are errors."""


class ModelSetup(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    """The name that the package gives the model."""
    package: str | None
    """Its path; None for a model that is not a package."""
    platform: str | None
    digest: str | None
    """SHA-256 over all files of the package."""
    inputs: str
    """The fingerprint of what is built for it."""


class LogSetup(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    frames: int
    duration_s: float | None
    """From its first frame to its last; None where only opening it says."""
    content: str = ""
    """SHA-256 over what it holds, as far as that can be said without reading it."""


class FramesSetup(msgspec.Struct, frozen=True, kw_only=True):
    count: int
    digest: str
    """SHA-256 over which frames of the logs these are."""


class SchemaSetup(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    version: str
    fingerprint: str


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    format: int
    perceptum: str
    schema: SchemaSetup
    problem: ProblemSetup
    models: dict[str, ModelSetup]
    dataset: str
    logs: list[LogSetup]
    """Those that frames are of."""
    frames: FramesSetup

    @classmethod
    def of(
        cls,
        name: str,
        problem: JudgedProblem,
        dataset: Dataset,
        positions: Sequence[int],
        models: Mapping[str, ModelSetup],
    ) -> Setup:
        """name: how the problem was asked for. No log on disk is opened that is not open."""
        schema = canonical()
        logs, numbers = dataset.places(positions)
        contents = contents_of(dataset, dict.fromkeys(logs.tolist()))
        return cls(
            format=FORMAT,
            perceptum=__version__,
            schema=SchemaSetup(name=schema.name, version=schema.version, fingerprint=schema.fingerprint),
            problem=_problem_setup(name, problem),
            models=dict(models),
            dataset=dataset.name,
            logs=[_log_setup(dataset, log, content) for log, content in contents.items()],
            frames=FramesSetup(count=len(positions), digest=_sha256([logs.tolist(), numbers.tolist()])),
        )


def differences(before: Setup, now: Setup) -> list[str]:
    """Returns a line for each thing that decides results and is not the same; where a package lies decides nothing."""
    pairs = [_decides(before), _decides(now)]
    lines = []
    for what in dict.fromkeys(key for one in pairs for key in one):
        old, new = (one.get(what) for one in pairs)
        if old != new:
            lines.append(f"{what}: {_shown(old)} before, {_shown(new)} now")
    lines += [
        f"model '{name}': not a package, so that it is not known whether it is the same"
        for name in now.models
        if name in before.models and None in (before.models[name].digest, now.models[name].digest)
    ]
    return lines


def _decides(setup: Setup) -> dict[str, str | None]:
    found: dict[str, str | None] = {
        "format": str(setup.format),
        "perceptum": setup.perceptum,
        f"schema {setup.schema.name}": setup.schema.fingerprint,
        "problem": setup.problem.name,
        "class of the problem": setup.problem.kind,
        "source of the problem": setup.problem.digest,
        "dataset": setup.dataset,
        "number of logs": str(len(setup.logs)),
        "frames": str(setup.frames.count),
        "which frames": setup.frames.digest,
    }
    found |= {f"option {name} of the problem": str(value) for name, value in setup.problem.options.items()}
    for name, model in setup.models.items():
        found[f"model '{name}'"] = model.digest or "not a package"
        found[f"inputs of model '{name}'"] = model.inputs
    for number, log in enumerate(setup.logs):
        content = f"content {log.content[:_SHOWN]}" if log.content else "content not known"
        found[f"log {number}"] = f"{log.name}, {counted(log.frames, 'frame')}, {log.duration_s} s, {content}"
    return found


def _shown(value: str | None) -> str:
    if value is None:
        return "not there"
    return f"{value[:_SHOWN]}..." if len(value) == 64 and " " not in value else value


def _problem_setup(name: str, problem: JudgedProblem) -> ProblemSetup:
    kind = type(problem)
    specs = ("input_spec", "output_spec", "test_data")
    options = {name: _plain(value) for name, value in vars(problem).items() if name not in specs}
    try:
        source = inspect.getsourcefile(kind)
        digest = "" if source is None else hashlib.sha256(Path(source).read_bytes()).hexdigest()
    # a class that was typed in has no file
    except (OSError, TypeError):
        digest = ""
    return ProblemSetup(
        name=name,
        title=problem.name or kind.__name__,
        kind=kind.__qualname__,
        options=options,
        digest=digest,
        lower_is_better=sorted(problem.lower_is_better),
    )


def _plain(value: Any) -> Any:
    """Returns plain data as it comes back from a file, where tuples are lists; of what is none the name of its kind,
    for its repr may have an address in it."""
    try:
        return msgspec.json.decode(msgspec.json.encode(value))
    except (TypeError, msgspec.MsgspecError):
        return type(value).__qualname__


def _log_setup(dataset: Dataset, log: int, content: str) -> LogSetup:
    about = dataset.about(log)
    return LogSetup(name=about.name, frames=about.frames, duration_s=about.duration_s, content=content)


def _sha256(values: Sequence[object]) -> str:
    return hashlib.sha256(msgspec.json.encode(list(values))).hexdigest()
