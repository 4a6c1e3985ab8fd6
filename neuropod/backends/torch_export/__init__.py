"""torch.export programs (.pt2). torch itself reads them with pickle and eval; here only what is data reaches it."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Any

from perceptum.foreign import said
from perceptum.quiet import logs_only

from ...errors import NeuropodError
from ...frameworks.torch.runner import TorchRunner, copy_reason, import_torch, torch_device
from ...frameworks.versions import framework_version
from ...package import custom_ops
from ...package.archive import copy_file
from ...package.config import Config
from ...package.package import DATA, OPS, Package
from ..signature import refuse_strings, warn_of_chance
from .archive import checked_archive
from .calls import check_sizes, own_tensors, plan_call

__all__ = ["FRAMEWORK", "RUNS_CODE", "copy_reason", "load", "version", "write"]

FRAMEWORK = "torch"
RUNS_CODE = False

MODEL = f"{DATA}/model.pt2"

_LOADING = threading.Lock()  # torch reads one program at a time: its reader is a global


def version() -> str:
    return framework_version("torch", import_torch)


def load(package: Package, visible_gpu: int | None) -> TorchRunner:
    torch = import_torch()
    if package.config.custom_ops:
        custom_ops.load_libraries(package.files.folder(OPS), package.config.custom_ops, torch.ops.load_library)
    program = _read(package.read(MODEL), package.config)
    device = torch_device(visible_gpu)
    if device.type != "cpu":
        program = torch.export.passes.move_to_device_pass(program, device)
    module = program.module()
    return TorchRunner(plan_call(program, module, package.config), package.config, device, own_tensors(module))


def write(folder: Path, config: Config, program: Any, program_path: str | os.PathLike[str] | None) -> None:
    """Writes an ExportedProgram, or the file it was saved in, and checks it against the spec."""
    torch = import_torch()
    refuse_strings("torch.export", config)
    target = folder / MODEL
    target.parent.mkdir(parents=True)
    if program_path is not None:
        copy_file(program_path, target)
    elif isinstance(program, torch.export.ExportedProgram):
        torch.export.save(program, str(target))
    else:
        raise NeuropodError(
            f"program must be an ExportedProgram, got {type(program).__name__}; torch.export.export(...) makes one"
        )
    custom_ops.load_libraries(folder / OPS, config.custom_ops, torch.ops.load_library)  # to read the program with
    found = _read(target.read_bytes(), config)
    plan_call(found, found.module(), config)
    check_sizes(found, config)
    warn_of_chance(sorted({str(node.target) for node in found.graph.nodes if _is_random(torch, node)}))


def _is_random(torch: Any, node: Any) -> bool:
    if torch.Tag.nondeterministic_seeded not in getattr(node.target, "tags", ()):
        return False
    is_dropout = "dropout" in str(node.target)  # which is an operator of evaluation too, and does nothing there
    return not is_dropout or any(value is True for value in (*node.args, *node.kwargs.values()))


def _read(data: bytes, config: Config) -> Any:
    torch = import_torch()
    try:
        archive = checked_archive(data, own_ops=bool(config.custom_ops))
        del data  # as large as the model
        # torch logs the traceback of the very error that it then raises
        with _LOADING, logs_only(logging.CRITICAL, "torch.export"):
            return torch.export.load(archive)
    except NeuropodError as error:
        raise NeuropodError(f"{MODEL}: {error}") from error
    except Exception as error:  # torch raises all kinds of errors for a file that is not as it wrote it
        raise NeuropodError(f"{MODEL}: torch cannot load it: {said(error)}") from error
