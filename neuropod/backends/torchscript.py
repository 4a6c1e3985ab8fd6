"""TorchScript: data, not code. Inputs go to torch on their own memory; outputs come back on torch's."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from .. import custom_ops
from ..errors import NeuropodError, first_line
from ..package import DATA, OPS, Package
from .torch_runner import TorchRunner, import_torch, torch_device
from .torchscript_archive import is_old, rewrite
from .torchscript_calls import plan_call

__all__ = ["FRAMEWORK", "RUNS_CODE", "load", "version", "write"]

FRAMEWORK = "torch"
RUNS_CODE = False

MODEL = f"{DATA}/model.pt"


def version() -> str:
    return str(import_torch().__version__)


def load(package: Package, visible_gpu: int | None) -> TorchRunner:
    torch = import_torch()
    if package.config.custom_ops:
        custom_ops.load_libraries(package.files.folder(OPS), package.config.custom_ops, torch.ops.load_library)
    archive = package.read(MODEL)
    if is_old(archive):
        archive = rewrite(archive)
    device = torch_device(visible_gpu)
    try:
        with _no_deprecation():
            module = torch.jit.load(io.BytesIO(archive), map_location=device)
    except (RuntimeError, ValueError) as error:
        raise NeuropodError(f"{MODEL}: torch cannot load it: {first_line(error)}") from error
    return TorchRunner(partial(plan_call(module.forward.schema), module.forward), package.config, device)


def write(folder: Path, module: Any = None, module_path: str | os.PathLike[str] | None = None) -> None:
    """Writes a ScriptModule, or the file it was saved in, into the package's folder."""
    target = folder / MODEL
    target.parent.mkdir(parents=True)
    if module_path is not None:
        target.write_bytes(Path(module_path).read_bytes())
        return
    torch = import_torch()
    if not isinstance(module, torch.jit.ScriptModule):
        raise NeuropodError(
            f"module must be a ScriptModule, got {type(module).__name__}; torch.jit.script(module) makes one"
        )
    with _no_deprecation():
        torch.jit.save(module, str(target))


@contextmanager
def _no_deprecation() -> Iterator[None]:
    """torch advises against TorchScript in each call; who loads a package cannot act on that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
