"""Problems by name: ours, those of plug-ins (entry points `perceptum.problems`), and those in a user's own file."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from perceptum.datasets.options import check_options, split_options, texts_of_text
from perceptum.errors import SpecError, UsageError
from perceptum.foreign import foreign
from perceptum.inputs import BadOption
from perceptum.spelling import did_you_mean

from .metric import JudgedProblem

__all__ = ["PROBLEMS", "load_plug_in", "problem_named"]

PROBLEMS: dict[str, str] = {
    "bev_segmentation": "perceptum.problems.bev_segmentation:BevSegmentation",
    "detection3d": "perceptum.problems.detection3d:Detection3d",
    "lidar_segmentation": "perceptum.problems.lidar_segmentation:LidarSegmentation",
    "motion_forecasting": "perceptum.problems.motion_forecasting:MotionForecasting",
}
"""Name -> where its class is: `module:class`. One line a problem."""

_GROUP = "perceptum.problems"


def problem_named(name: str, *, test_data: Mapping[str, Any] | None = None) -> JudgedProblem:
    """Returns a problem, made with the options behind its name.

    name: one of PROBLEMS or of a plug-in, `detection3d` or `detection3d:metric=nuscenes,range_m=40`; or a file that
    defines one, which is run: `path/to/own.py`, or `path/to/own.py:Class` where it defines several, with options behind
    that too. test_data: as `Problem` takes it. Raises UsageError, which names those that there are.
    """
    place, text = split_options(name)
    ours = place in PROBLEMS
    made = _class_of(place)
    data: dict[str, Any] = {} if test_data is None else {"test_data": test_data}
    if ours:
        return made(**_options(place, made, text), **data)
    with foreign(f"problem '{place}' cannot be made", UsageError, SpecError):
        return made(**_options(place, made, text), **data)


def load_plug_in(entry: EntryPoint) -> type[JudgedProblem]:
    """Returns the problem of an entry point, one of others; raises UsageError that says why it cannot be used."""
    with foreign(f"problem '{entry.name}' ({entry.value}) cannot be imported", UsageError):
        found = entry.load()
    if not _is_problem(found):
        raise UsageError(
            f"problem '{entry.name}' ({entry.value}) is not a JudgedProblem that says all it must: {found!r}"
        )
    return found  # type: ignore[no-any-return]


def _class_of(place: str) -> type[JudgedProblem]:
    if place in PROBLEMS:
        module, _, of = PROBLEMS[place].partition(":")
        found: type[JudgedProblem] = getattr(importlib.import_module(module), of)
        return found
    others = {entry.name: entry for entry in entry_points(group=_GROUP)}
    if place in others:
        return load_plug_in(others[place])
    path, _, of = place.partition(".py:") if ".py:" in place else (place, "", "")
    file = Path(f"{path}.py" if of else path)
    if file.suffix == ".py":
        return _in_file(file, of)
    known = sorted({*PROBLEMS, *others})
    hint = did_you_mean(place, known)
    raise UsageError(f"no problem '{place}'; there are {', '.join(known)}, or a file of your own, own.py{hint}")


def _in_file(file: Path, of: str) -> type[JudgedProblem]:
    if not file.is_file():
        raise UsageError(f"{file}: no such file; a problem of your own is a Python file that defines a JudgedProblem")
    module = _module(file)
    own = {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, JudgedProblem) and value.__module__ == module.__name__
    }
    if of and of not in own:
        raise UsageError(f"{file}: defines no problem '{of}'; there are {', '.join(own) or 'none'}")
    chosen = [own[of]] if of else [value for value in own.values() if not inspect.isabstract(value)]
    if len(chosen) > 1:
        names = ", ".join(value.__name__ for value in chosen)
        raise UsageError(f"{file}: defines several problems, {names}; say which: {file}:{chosen[0].__name__}")
    if not chosen and not own:
        raise UsageError(f"{file}: defines no problem; one is a class of perceptum.problems.JudgedProblem")
    found = chosen[0] if chosen else next(iter(own.values()))
    if not _is_problem(found):
        left = ", ".join(sorted(found.__abstractmethods__))
        raise UsageError(f"{file}: problem {found.__name__} does not say its {left}")
    return found


def _module(file: Path) -> ModuleType:
    """Returns what running a file defines; the same file of the same content is run once."""
    digest = hashlib.sha256(str(file.resolve()).encode() + b"\0" + file.read_bytes()).hexdigest()[:16]
    name = f"perceptum_problem_{file.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # dataclasses look for the module of their class there
    sys.modules[name] = module
    try:
        with foreign(f"{file}: cannot be run", UsageError):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _is_problem(found: object) -> bool:
    return inspect.isclass(found) and issubclass(found, JudgedProblem) and not inspect.isabstract(found)


def _options(place: str, made: type[JudgedProblem], text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        # those of a metric are known when it is
        texts = texts_of_text(place, text, lambda: None)
        takes = made.takes(texts)
        options = texts_of_text(place, text, takes)
        check_options(place, takes, options, given=0, keywords=())
    except BadOption as error:
        raise UsageError(str(error)) from None
    return options
