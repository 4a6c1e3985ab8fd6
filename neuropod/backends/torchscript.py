"""TorchScript: data, not code. Inputs go to torch on their own memory; outputs come back on torch's."""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from .. import custom_ops
from ..config import Config
from ..errors import NeuropodError, first_line
from ..handoff import as_torch, private_copy
from ..package import DATA, OPS, Package
from ..strings import is_string, to_list, to_unicode
from .torchscript_archive import is_old, rewrite
from .torchscript_calls import Call, collect, plan_call

if TYPE_CHECKING:
    import torch

__all__ = ["FRAMEWORK", "RUNS_CODE", "load", "version", "write"]

FRAMEWORK = "torch"
RUNS_CODE = False

MODEL = f"{DATA}/model.pt"

_log = logging.getLogger(__name__)

# arrays that a model wrote into: held for good, so that no builder fills that memory again
_SCRIBBLED: list[NDArray[Any]] = []


def version() -> str:
    return str(_torch().__version__)


def load(package: Package, visible_gpu: int | None) -> TorchScriptRunner:
    torch = _torch()
    if package.config.custom_ops:
        custom_ops.load_libraries(package.files.folder(OPS), package.config.custom_ops, torch.ops.load_library)
    archive = package.read(MODEL)
    if is_old(archive):
        archive = rewrite(archive)
    gpu = visible_gpu is not None and visible_gpu >= 0 and torch.cuda.is_available()
    device = torch.device(f"cuda:{visible_gpu}" if gpu else "cpu")
    try:
        with _no_deprecation():
            module = torch.jit.load(io.BytesIO(archive), map_location=device)
    except (RuntimeError, ValueError) as error:
        raise NeuropodError(f"{MODEL}: torch cannot load it: {first_line(error)}") from error
    return TorchScriptRunner(module, package.config, device)


def write(folder: Path, module: Any = None, module_path: str | os.PathLike[str] | None = None) -> None:
    """Writes a ScriptModule, or the file it was saved in, into the package's folder."""
    target = folder / MODEL
    target.parent.mkdir(parents=True)
    if module_path is not None:
        target.write_bytes(Path(module_path).read_bytes())
        return
    torch = _torch()
    if not isinstance(module, torch.jit.ScriptModule):
        raise NeuropodError(
            f"module must be a ScriptModule, got {type(module).__name__}; torch.jit.script(module) makes one"
        )
    with _no_deprecation():
        torch.jit.save(module, str(target))


class TorchScriptRunner:
    """A ScriptModule with its calling convention."""

    def __init__(self, module: Any, config: Config, device: torch.device) -> None:
        self._torch = _torch()
        self._forward = module.forward
        self._call: Call = plan_call(module.forward.schema)
        self._name = config.name
        self._outputs = tuple(row.name for row in config.outputs)
        self._moved = (
            {row.name for row in config.inputs if config.device(row.name) == "GPU"} if device.type != "cpu" else set()
        )
        self._device = device
        self._writes_inputs = False

    def run(self, inputs: Mapping[str, NDArray[Any]], wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
        if self._torch.is_inference_mode_enabled():  # in which torch counts no writes
            with self._torch.inference_mode(False):
                return self._run(inputs)
        return self._run(inputs)

    def _run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        tensors: dict[str, torch.Tensor] = {}
        values: dict[str, Any] = {}
        for name, array in inputs.items():
            if is_string(array):
                values[name] = _strings(name, array)
                continue
            tensor = tensors[name] = as_torch(private_copy(array) if self._writes_inputs else array)
            values[name] = tensor.to(self._device) if name in self._moved else tensor
        try:
            with self._torch.no_grad():
                answer = self._call(self._forward, values)
        except self._torch.jit.Error as error:
            raise NeuropodError(f"failed: {_reason(error)}") from error
        finally:
            written = [name for name, tensor in tensors.items() if tensor._version]
            if written and not self._writes_inputs:
                self._keep_written({name: inputs[name] for name in written})
        return self._collected(answer)

    def close(self) -> None:
        self._forward = None

    def _keep_written(self, written: Mapping[str, NDArray[Any]]) -> None:
        """torch counts the writes into a tensor. What was written into is the builder's memory: save what can be."""
        self._writes_inputs = True
        _SCRIBBLED.extend(written.values())
        _log.warning(
            "model '%s' wrote into its input %s; from now on it gets its own copy of every input: "
            "let it clone before it writes",
            self._name,
            ", ".join(f"'{name}'" for name in written),
        )

    def _collected(self, answer: Any) -> dict[str, NDArray[Any]]:
        """Returns the outputs, each in memory of its own."""
        arrays: dict[str, NDArray[Any]] = {}
        seen: set[int] = set()
        for name, value in collect(answer, self._outputs).items():
            if isinstance(value, list):
                arrays[name] = to_unicode(value)
                continue
            shared = id(value) in seen or (value.is_cpu and self._is_kept(value))
            arrays[name] = _to_numpy(name, value, shared)
            seen.add(id(value))
        return arrays

    def _is_kept(self, tensor: Any) -> bool:
        """Returns whether an input, an attribute of the model, or another output holds this memory too.

        torch counts the holders of a tensor (one: ours) and of its memory (two: the tensor, and the object asked).
        """
        held = self._torch._C._storage_Use_Count(tensor.untyped_storage()._cdata)
        return bool(held > 2 or tensor._use_count() > 1)


def _to_numpy(name: str, value: torch.Tensor, shared: bool) -> NDArray[Any]:
    """Returns the tensor's memory as an array, or a copy where it is `shared`, strided or on a GPU."""
    tensor = value.detach() if value.requires_grad else value
    if not (tensor.is_cpu and tensor.is_contiguous()):
        tensor = tensor.cpu().contiguous()
    elif shared:
        tensor = tensor.clone()
    try:
        array: NDArray[Any] = tensor.numpy()
    except (TypeError, RuntimeError) as error:
        raise NeuropodError(f"output '{name}' cannot leave torch: {first_line(error)}") from error
    return array


def _strings(name: str, array: NDArray[Any]) -> list[str]:
    if array.ndim != 1:
        raise NeuropodError(
            f"input '{name}': TorchScript takes strings as a list, so with 1 dimension, got {array.ndim}"
        )
    return to_list(array)


def _reason(error: BaseException) -> str:
    """Returns the last line of TorchScript's traceback: the first ones tell where, not what."""
    return str(error).strip().splitlines()[-1].removeprefix("builtins.")


@contextmanager
def _no_deprecation() -> Iterator[None]:
    """torch advises against TorchScript in each call; who loads a package cannot act on that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise NeuropodError("running TorchScript needs torch: pip install 'perceptum[torch]'") from error
    return torch
