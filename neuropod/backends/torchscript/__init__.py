"""TorchScript: data, not code. Torch reads inputs in their own memory; outputs come back in torch's."""

from __future__ import annotations

import io
import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from perceptum.foreign import said

from ...errors import NeuropodError
from ...frameworks.torch.runner import TorchRunner, copy_reason, import_torch, torch_device
from ...frameworks.versions import framework_version
from ...package import custom_ops
from ...package.archive import copy_file
from ...package.package import DATA, OPS, Package
from ..signature import warn_of_chance
from .archive import is_old, rewrite
from .calls import plan_call
from .code import check_archive, differentiates

__all__ = ["FRAMEWORK", "RUNS_CODE", "copy_reason", "load", "version", "write"]

FRAMEWORK = "torch"
RUNS_CODE = False

MODEL = f"{DATA}/model.pt"

_CHANGING = re.compile("Dropout|BatchNorm|InstanceNorm")
_log = logging.getLogger(__name__)

# from here on torch reads a file: of bytes it makes copies, four times the model in memory; a small zip is quicker read
# than extracted
LARGE_BYTES = 64 << 20


def version() -> str:
    return framework_version("torch", import_torch)


def load(package: Package, visible_gpu: int | None) -> TorchRunner:
    torch = import_torch()
    if package.config.custom_ops:
        custom_ops.load_libraries(package.files.folder(OPS), package.config.custom_ops, torch.ops.load_library)
    device = torch_device(visible_gpu)
    source = _source(package)
    package.require_data(MODEL, partial(check_archive, source))
    try:
        with _no_deprecation():
            module = torch.jit.load(source, map_location=device)
    except (RuntimeError, ValueError) as error:
        raise NeuropodError(f"{MODEL}: torch cannot load it: {said(error)}") from error
    gradients = package.metadata.gradients
    if gradients is None:  # TorchScript has no torch.enable_grad with which a model could ask for it
        gradients = differentiates(source)
    package.files.close()  # all is in memory
    call = partial(plan_call(module.forward.schema), module.forward)
    return TorchRunner(call, package.config, device, gradients=gradients)


def _source(package: Package) -> io.BytesIO | str:
    """Returns what torch.jit.load reads: the archive's bytes, or the path of a large one."""
    if package.size_bytes(MODEL) < LARGE_BYTES:
        archive = package.read(MODEL)
        return io.BytesIO(rewrite(archive) if is_old(archive) else archive)
    path = package.files.folder(DATA) / Path(MODEL).name
    return io.BytesIO(rewrite(path.read_bytes())) if is_old(path) else str(path)


def write(folder: Path, module: Any = None, module_path: str | os.PathLike[str] | None = None) -> None:
    """Writes a ScriptModule, or the file it was saved in, into the package's folder."""
    target = folder / MODEL
    target.parent.mkdir(parents=True)
    if module_path is not None:
        copy_file(module_path, target)
        return
    torch = import_torch()
    if not isinstance(module, torch.jit.ScriptModule):
        raise NeuropodError(
            f"module must be a ScriptModule, got {type(module).__name__}; torch.jit.script(module) makes one"
        )
    _warn_of_training(module)
    warn_of_chance(sorted(_random_operators(module.inlined_graph)))
    with _no_deprecation():
        torch.jit.save(module, str(target))


def _warn_of_training(module: Any) -> None:
    changing = sorted({m.original_name for m in module.modules() if m.training and _CHANGING.search(m.original_name)})
    if changing:
        _log.warning("the model is packed in training mode, in which %s differs; .eval() first", changing[0])


def _random_operators(graph: Any) -> set[str]:
    found: set[str] = set()
    todo = list(graph.nodes())
    while todo:
        node = todo.pop()
        todo += [inner for block in node.blocks() for inner in block.nodes()]
        if node.isNondeterministic() and ("dropout" not in node.kind() or _is_always_on(node)):
            found.add(node.kind())
    return found


def _is_always_on(dropout: Any) -> bool:
    """Returns whether its `train` is written in the code; else the module's mode decides, which is looked at before."""
    return any(value.toIValue() is True for value in dropout.inputs())


@contextmanager
def _no_deprecation() -> Iterator[None]:
    """torch advises against TorchScript in each call; someone who loads a package can do nothing about it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
