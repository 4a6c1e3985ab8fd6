"""Running a torch model: inputs on their own memory, outputs on torch's, and never one inside the other."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from perceptum.foreign import said
from perceptum.install import install_command

from ...errors import NeuropodError
from ...package.config import Config
from ..handoff import Empty, private_copy, why_copied
from ..strings import is_string, of_tensor, to_list, to_unicode
from . import as_torch
from .outputs import collect
from .transfers import Transfers

if TYPE_CHECKING:
    import torch

__all__ = ["TorchRunner", "copy_reason", "gradients_hint", "import_torch", "torch_device"]

_log = logging.getLogger(__name__)

# what torch says to who differentiates without gradients
_NEEDS_GRADIENTS = re.compile("does not require grad|have a grad_fn")

_COPIED_ANYWAY_BYTES = 16 << 10
"""Up to here an output is put together with others, by whoever asks for it."""

# arrays that a model wrote into: held for good, so that no builder fills that memory again
_SCRIBBLED: list[NDArray[Any]] = []


class TorchRunner:
    """A model of torch, called with its values by name: tensors, and lists of strings.

    `own` are the Python tensors that the model holds and might return. `gradients`: whether it differentiates.
    """

    def __init__(
        self,
        call: Callable[[Mapping[str, Any]], Any],
        config: Config,
        device: torch.device,
        own: Iterable[torch.Tensor] = (),
        gradients: bool = False,
    ) -> None:
        torch = import_torch()
        self._call: Callable[[Mapping[str, Any]], Any] | None = call
        self._name = config.name
        self._outputs = tuple(row.name for row in config.outputs)
        on_gpu = device.type != "cpu"
        self._moved = {row.name for row in config.inputs if config.device(row.name) == "GPU"} if on_gpu else set()
        self._device = device
        self._transfers = Transfers(device) if self._moved and device.type == "cuda" else None
        if self._transfers is not None:
            self.seal = self._seal
        self._own = tuple(own)  # held, so that no other tensor gets one of their ids
        self._own_ids = frozenset(map(id, self._own))
        self._writes_inputs = False
        self._gradients = gradients
        # looked up once: each dot of torch.is_inference_mode_enabled() costs a call of a few
        self._torch = torch
        self._in_inference_mode = torch.is_inference_mode_enabled
        self._is_grad_enabled = torch.is_grad_enabled
        self._set_grad = torch._C._set_grad_enabled
        self._use_count = torch._C._storage_Use_Count

    def run(self, inputs: Mapping[str, NDArray[Any]], wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
        return self._run(inputs, None)

    def run_into(
        self, inputs: Mapping[str, NDArray[Any]], wanted: Sequence[str], empty: Empty
    ) -> dict[str, NDArray[Any]]:
        """`backends.RunnerInto`: one copy from where torch has an output, be that on a GPU, to where it is to lie."""
        return self._run(inputs, empty)

    def _run(self, inputs: Mapping[str, NDArray[Any]], empty: Empty | None) -> dict[str, NDArray[Any]]:
        if self._in_inference_mode():  # in which torch counts no writes
            with self._torch.inference_mode(False):
                return self._run_counted(inputs, empty)
        return self._run_counted(inputs, empty)

    def _run_counted(self, inputs: Mapping[str, NDArray[Any]], empty: Empty | None) -> dict[str, NDArray[Any]]:
        tensors: dict[str, torch.Tensor] = {}
        values: dict[str, Any] = {}
        begun = 0 if self._transfers is None else self._transfers.begun
        for name, array in inputs.items():
            if is_string(array):
                values[name] = _strings(name, array)
                continue
            tensor = tensors[name] = as_torch(private_copy(array) if self._writes_inputs else array)
            values[name] = self._on_gpu(name, array, tensor) if name in self._moved else tensor
        try:
            answer = self._called(values)
        except (self._torch.jit.Error, RuntimeError) as error:
            hint = "" if self._gradients else gradients_hint(error)
            if hint or isinstance(error, self._torch.jit.Error):
                raise NeuropodError(f"failed: {_reason(error)}{hint}") from error
            raise
        finally:
            if self._transfers is not None:
                self._transfers.drop(begun)
            written = [name for name, tensor in tensors.items() if tensor._version]
            if written and not self._writes_inputs:
                self._keep_written({name: inputs[name] for name in written})
        if empty is None:
            return self._collected(answer, values)
        return {name: _put(name, value, empty) for name, value in collect(answer, self._outputs).items()}

    def _seal(self, name: str, array: NDArray[Any]) -> None:
        """Begins to move an input that is written to the GPU. It is `seal` only where there is one to move it to."""
        if self._transfers is not None and name in self._moved and not is_string(array):
            self._transfers.begin(name, array)

    @property
    def memory_lasts(self) -> bool:
        """Whether inputs lie in memory that stays where it is as long as the process runs."""
        return self._transfers is not None and self._transfers.memory_lasts

    @memory_lasts.setter
    def memory_lasts(self, lasts: bool) -> None:
        if self._transfers is not None:
            self._transfers.memory_lasts = lasts

    def _on_gpu(self, name: str, array: NDArray[Any], tensor: torch.Tensor) -> torch.Tensor:
        moved = None if self._transfers is None else self._transfers.take(name, array)
        return tensor.to(self._device) if moved is None else moved

    def _called(self, values: Mapping[str, Any]) -> Any:
        """Calls the model under no_grad, or enable_grad, whose context managers alone would cost two microseconds."""
        assert self._call is not None
        enabled = self._is_grad_enabled()
        self._set_grad(self._gradients)
        try:
            return self._call(values)
        finally:
            self._set_grad(enabled)

    def close(self) -> None:
        self._call = None

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

    def _collected(self, answer: Any, values: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Returns the outputs, each in memory of its own. A model may return the very tensor that it was given."""
        arrays: dict[str, NDArray[Any]] = {}
        seen = {*self._own_ids, *map(id, values.values())}
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
        held = self._use_count(tensor.untyped_storage()._cdata)
        return bool(held > 2 or tensor._use_count() > 1)


def copy_reason(array: NDArray[Any]) -> str | None:
    return why_copied(array, writable=True)


def import_torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise NeuropodError(f"running torch models needs torch: {install_command('torch')}") from error
    return torch


def torch_device(visible_gpu: int | None) -> torch.device:
    """Returns the GPU of that index where there is one to be used, or the CPU."""
    import_torch()
    import torch

    gpu = visible_gpu is not None and visible_gpu >= 0 and torch.cuda.is_available()
    return torch.device(f"cuda:{visible_gpu}" if gpu else "cpu")


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
        raise NeuropodError(f"output '{name}' cannot leave torch: {said(error)}") from error
    return array


def _put(name: str, value: Any, empty: Empty) -> NDArray[Any]:
    """Returns an output where `empty` makes room, or, where it is small or of a type that no spec has, where it is."""
    if isinstance(value, list):
        return to_unicode(value)
    import torch

    tensor = value.detach() if value.requires_grad else value
    is_plain = tensor.layout == torch.strided and tensor.device.type in ("cpu", "cuda")
    if not is_plain or tensor.dtype not in _dtypes() or tensor.nbytes <= _COPIED_ANYWAY_BYTES:
        return _to_numpy(name, value, shared=False)
    place = empty(name, tuple(tensor.shape), _dtypes()[tensor.dtype])
    torch.from_numpy(place).copy_(tensor)
    return place


@cache
def _dtypes() -> dict[torch.dtype, np.dtype[Any]]:
    """Returns the types of a spec's numbers, torch's -> numpy's."""
    import torch

    names = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    return {getattr(torch, name): np.dtype(name) for name in names}


def _strings(name: str, array: NDArray[Any]) -> list[str]:
    if array.ndim != 1:
        raise NeuropodError(f"input '{name}': torch takes strings as a list, so with 1 dimension, got {array.ndim}")
    with of_tensor(f"input '{name}'"):
        return to_list(array)


def gradients_hint(error: BaseException) -> str:
    """Returns what to do about an error of a model that differentiates and may not; "" for all others."""
    if not _NEEDS_GRADIENTS.search(str(error)):
        return ""
    return "; it differentiates, and runs without gradients: pack it with gradients=True"


def _reason(error: BaseException) -> str:
    """Returns what TorchScript's traceback ends with: its first lines are about where, not what."""
    text = said(error)
    return text.removeprefix("Error: ").removeprefix("builtins.")
