"""The models of an evaluation: what they are called, which packages they are, and how they are loaded."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from time import monotonic
from typing import Any

from perceptum.errors import UsageError
from perceptum.features import Spec, canonical
from perceptum.neuropod import Model, load_neuropod
from perceptum.neuropod.package import manifest
from perceptum.neuropod.package.package import open_package
from perceptum.plural import a_or_an

from .setup import ModelSetup

__all__ = ["Entrant", "entrants_of", "loaded"]

_CLOSE_S = 0.2
"""How long an interrupted evaluation waits for its models to end; they end anyway, with the program at the latest."""


@dataclass(frozen=True)
class Entrant:
    """A model that takes part: a package that is not loaded yet, or an object that can already infer."""

    name: str
    """Its own in this evaluation."""
    setup: ModelSetup
    package: Path | None
    model: Any


def entrants_of(models: Mapping[str, Any] | Sequence[Any] | Any) -> list[Entrant]:
    """Returns the models, each by a name of its own: the one that is given, or its package's, or that of its file.

    models: packages' paths, or objects with name, inputs, outputs and infer, alone, in a list or by name. Raises
    UsageError, or NeuropodError for a package that cannot be read.
    """
    if isinstance(models, Mapping):
        return [_entrant(one, name) for name, one in models.items()]
    if isinstance(models, (str, os.PathLike)) or hasattr(models, "infer"):
        models = [models]
    found = [_entrant(one) for one in models]
    if not found:
        raise UsageError("an evaluation needs at least one model")
    for naming in (_own_name, _file_name, _path):
        names = [naming(e) for e in found]
        if len(set(names)) == len(names):
            return [replace(e, name=name) for name, e in zip(names, found, strict=True)]
    twice = next(name for name in names if names.count(name) > 1)
    raise UsageError(f"two models are called '{twice}'; give each a name of its own: NAME=PACKAGE, or {{name: model}}")


def _own_name(entrant: Entrant) -> str:
    return entrant.name


def _file_name(entrant: Entrant) -> str:
    return entrant.name if entrant.package is None else entrant.package.stem


def _path(entrant: Entrant) -> str:
    return entrant.name if entrant.package is None else str(entrant.package)


def _entrant(model: Any, name: str = "") -> Entrant:
    if isinstance(model, (str, os.PathLike)):
        return _of_package(Path(model), name)
    missing = [part for part in ("name", "inputs", "outputs", "infer") if not hasattr(model, part)]
    if missing:
        raise UsageError(
            f"a model is the path of a package, or has name, inputs, outputs and infer, got "
            f"{a_or_an(type(model).__name__)} without {', '.join(missing)}"
        )
    setup = ModelSetup(
        title=model.name,
        package=None,
        platform=getattr(model, "platform", None),
        digest=None,
        inputs=_fingerprint(model.inputs),
    )
    return Entrant(name or model.name, setup, None, model)


def _of_package(path: Path, name: str) -> Entrant:
    package = open_package(path)
    try:
        setup = ModelSetup(
            title=package.config.name,
            package=str(path),
            platform=package.config.platform,
            digest=manifest.digest(package.files),
            inputs=_fingerprint(row.to_dict() for row in package.config.inputs),
        )
    finally:
        package.files.close()
    return Entrant(name or package.config.name, setup, path, None)


def _fingerprint(rows: Any) -> str:
    schema = canonical()
    return schema.fingerprint_of(schema.spec(Spec.of(rows).rows))


@contextmanager
def loaded(entrants: Sequence[Entrant], **how: Any) -> Iterator[dict[str, Any]]:
    """Loads the packages all at once, and yields all models by name; those that were loaded here are closed at the end.

    how: keywords of load_neuropod. After Ctrl-C nothing waits for a model that is in the middle of a call.
    """
    opened: dict[str, Model] = {}
    try:
        _load({e.name: e.package for e in entrants if e.package is not None}, how, opened)
        yield {e.name: opened.get(e.name, e.model) for e in entrants}
    except KeyboardInterrupt:
        _close(opened.values(), _CLOSE_S)
        raise
    except BaseException:
        _close(opened.values())
        raise
    _close(opened.values())


def _load(packages: Mapping[str, Path], how: Mapping[str, Any], opened: dict[str, Model]) -> None:
    """Puts the loaded models into `opened`; raises the error of the first that cannot be loaded.

    In threads that nothing waits for when Ctrl-C comes: most of the time goes to importing frameworks, seconds each.
    """
    said: SimpleQueue[tuple[str, Model | BaseException]] = SimpleQueue()

    def load(name: str, package: Path) -> None:
        try:
            said.put((name, load_neuropod(package, **how)))
        # whoever waits gets it
        except BaseException as error:
            said.put((name, error))

    for name, package in packages.items():
        threading.Thread(target=load, args=(name, package), name="perceptum load", daemon=True).start()
    errors: dict[str, BaseException] = {}
    for _ in packages:
        name, got = said.get()
        if isinstance(got, Model):
            opened[name] = got
        else:
            errors[name] = got
    for name in packages:
        if name in errors:
            raise errors[name]


def _close(models: Iterable[Model], wait_s: float | None = None) -> None:
    threads = [threading.Thread(target=model.close, name="perceptum close", daemon=True) for model in models]
    for thread in threads:
        thread.start()
    until_s = None if wait_s is None else monotonic() + wait_s
    for thread in threads:
        thread.join(None if until_s is None else max(until_s - monotonic(), 0.0))
