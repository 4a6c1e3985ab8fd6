"""The front door: `pc.load_neuropod`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .errors import NeuropodError
from .model import Model, open_model
from .package.trust import Trust

if TYPE_CHECKING:
    from perceptum.features import Schema

__all__ = ["load_neuropod"]


def load_neuropod(
    path: str | os.PathLike[str],
    *,
    trust: bool = False,
    isolate: bool = False,
    visible_gpu: int | None = 0,
    validate: str = "full",
    schema: Schema | None = None,
) -> Model:
    """Loads a packaged model, a folder or a zip file, made here or by Uber's Neuropod.

    trust: a package whose platform is python, that brings custom ops, or whose TensorFlow graph or TorchScript does
        more than compute, is code; it is refused unless this is True.
        PERCEPTUM_TRUST=never, ask or always decides for the whole process (`trust` has the table).
    visible_gpu: the GPU to use where there is one; None keeps the model on the CPU.
    validate: "full" checks both sides of each call, "cheap" the inputs' names, types and ranks, "off" nothing.
    schema: what the package's features must still mean; None is the canonical schema.

    Raises NeuropodError, on one line, naming the package.
    """
    if isolate:
        raise NeuropodError(f"{path}: isolate=True is not built yet: load without isolate")
    given = Trust.GIVEN if trust else Trust.NOT_GIVEN
    return open_model(path, trust=given, visible_gpu=visible_gpu, validate=validate, schema=schema)
