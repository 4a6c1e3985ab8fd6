"""Opens a model by Uber's options: in this process, in a worker, or in a worker that was started by hand."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import NeuropodError, WorkerError
from ..isolation import default_isolation
from ..model import Model, open_model
from ..package.trust import Trust
from .runtime_options import OpeOptions, RuntimeOptions

__all__ = ["OpeModel", "open_with"]


class OpeModel(Model):
    """A model in a worker process, whose loss is told in Uber's words."""

    def infer(
        self, inputs: Mapping[str, Any], requested_outputs: Iterable[str] | None = None, *, outputs: str = "numpy"
    ) -> dict[str, Any]:
        try:
            return super().infer(inputs, requested_outputs, outputs=outputs)
        except WorkerError as error:
            raise error.reworded(f"OPE lost communication with the other process: {error}") from error.__cause__


def open_with(path: str | os.PathLike[str], trust: Trust, options: RuntimeOptions) -> Model:
    """Opens a package and loads its model, whatever `load_model_at_construction` says; raises NeuropodError."""
    isolate = default_isolation() if options.use_ope is None else options.use_ope
    ope = options.ope_options
    if not isolate:
        if ope != OpeOptions():
            raise NeuropodError(f"{path}: ope_options are for a model in a worker process; set use_ope=True")
        return open_model(path, trust=trust, visible_gpu=options.visible_gpu, validate=_validate(options), schema=None)
    from ..process.isolated import open_isolated
    from ..process.sandbox import Sandbox

    if ope.control_queue_name:
        options = _only(options)
    return open_isolated(
        path,
        trust=trust,
        visible_gpu=options.visible_gpu,
        validate=_validate(options),
        schema=None,
        heartbeat_timeout_s=ope.heartbeat_timeout_s,
        free_memory=ope.free_memory_every_cycle,
        socket=ope.control_queue_name or None,
        sandbox=Sandbox() if isolate == "sandbox" and not ope.control_queue_name else None,
        kind=OpeModel,
    )


def _validate(options: RuntimeOptions) -> str:
    return "off" if options.disable_shape_and_type_checking else "full"


def _only(options: RuntimeOptions) -> RuntimeOptions:
    """Returns the options that hold for a worker that was started by hand; those that are ignored are named."""
    kept = RuntimeOptions(use_ope=options.use_ope, ope_options=options.ope_options)
    names = ("visible_device", "load_model_at_construction", "disable_shape_and_type_checking")
    ignored = [name for name in names if getattr(options, name) != getattr(kept, name)]
    if ignored:
        warnings.warn(
            f"{', '.join(ignored)}: ignored, as Uber's library did for a worker with a control_queue_name",
            stacklevel=4,
        )
    return kept
