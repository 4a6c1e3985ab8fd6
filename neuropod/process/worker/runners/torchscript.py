"""TorchScript, by whatever version of torch is installed."""

import os
import re
import warnings
import zipfile
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from . import ops, row_names
from .arrays import is_text, own, to_list, unicode_of
from .errors import NeuropodError, said
from .facts import read_facts

__all__ = ["load"]

MODEL = os.path.join("0", "data", "model.pt")
_GRADIENTS = re.compile(rb"(?<!\w)autograd\.(grad|backward)\(")


def load(
    folder: str, config: Dict[str, Any], visible_gpu: Optional[int], threads: Optional[int]
) -> "TorchScriptRunner":
    import torch

    if threads:
        torch.set_num_threads(threads)
    ops.load_libraries(folder, config, torch.ops.load_library)
    gpu = visible_gpu is not None and visible_gpu >= 0 and torch.cuda.is_available()
    device = torch.device("cuda:{}".format(visible_gpu) if gpu else "cpu")
    path = os.path.join(folder, MODEL)
    if not os.path.isfile(path):
        raise NeuropodError("the file {} is missing; a torchscript package needs it".format(MODEL))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that TorchScript is deprecated
            module = torch.jit.load(path, map_location=device)  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise NeuropodError("{}: torch cannot load it: {}".format(MODEL, said(error))) from error
    gradients = read_facts(folder).get("gradients")
    if gradients is None:
        gradients = _differentiates(path)
    return TorchScriptRunner(torch, module, config, device, bool(gradients))


class TorchScriptRunner(object):
    """A ScriptModule, called as its schema wants to be."""

    def __init__(self, torch: Any, module: Any, config: Dict[str, Any], device: Any, gradients: bool) -> None:
        self._torch = torch
        self._call = _plan_call(module)
        self._outputs = row_names(config, "output_spec")
        devices = config.get("input_tensor_device") or {}
        names = row_names(config, "input_spec") if device.type != "cpu" else ()
        self._moved = {name for name in names if devices.get(name, "GPU") == "GPU"}
        self._device = device
        self._gradients = gradients
        self._writes_inputs = False

    def run(self, inputs: Dict[str, Any], wanted: Sequence[str]) -> Dict[str, Any]:
        given = list(inputs.values())
        values: Dict[str, Any] = {}
        tensors = {}
        for name, array in inputs.items():
            if is_text(array):
                values[name] = _strings(name, array)
                continue
            tensor = tensors[name] = self._tensor(array)
            values[name] = tensor.to(self._device) if name in self._moved else tensor
        try:
            with self._torch.enable_grad() if self._gradients else self._torch.no_grad():
                answer = self._call(values)
        finally:
            # torch counts the writes into a tensor: from now on the model gets copies
            self._writes_inputs = self._writes_inputs or any(tensor._version for tensor in tensors.values())
        found = self._collected(answer)
        return {name: self._to_numpy(name, value, given) for name, value in found.items()}

    def close(self) -> None:
        self._call = _closed

    def _tensor(self, array: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the array is read-only
            return self._torch.from_numpy(array.copy() if self._writes_inputs else array)

    def _collected(self, answer: Any) -> Dict[str, Any]:
        if isinstance(answer, dict):
            return self._checked(answer.items())
        if isinstance(answer, tuple) and hasattr(answer, "_fields"):
            return self._checked(zip(answer._fields, answer))
        if isinstance(answer, tuple):
            return self._merged(answer)
        if len(self._outputs) != 1:
            raise NeuropodError(
                "the model returned one value without a name, so its output spec must have exactly 1 entry, it has "
                "{}".format(len(self._outputs))
            )
        return self._checked([(self._outputs[0], answer)])

    def _merged(self, parts: Tuple[Any, ...]) -> Dict[str, Any]:
        merged: Dict[str, Any] = {}
        for part in parts:
            if not isinstance(part, dict):
                raise NeuropodError(
                    "the model returned a tuple with {} in it; it may hold dicts only".format(type(part).__name__)
                )
            for name, value in self._checked(part.items()).items():
                if name in merged:
                    raise NeuropodError("the model returned the output '{}' twice".format(name))
                merged[name] = value
        return merged

    def _checked(self, items: Any) -> Dict[str, Any]:
        found = dict(items)
        for name, value in found.items():
            is_strings = isinstance(value, list) and all(isinstance(item, str) for item in value)
            if not is_strings and not isinstance(value, self._torch.Tensor):
                raise NeuropodError(
                    "output '{}' is of type {}; a model returns tensors and lists of strings".format(
                        name, type(value).__name__
                    )
                )
        return found

    def _to_numpy(self, name: str, value: Any, given: Sequence[Any]) -> Any:
        if isinstance(value, list):
            return unicode_of(value, (len(value),))
        try:
            array = value.detach().cpu().contiguous().numpy()
        except (TypeError, RuntimeError) as error:
            raise NeuropodError("output '{}' cannot leave torch: {}".format(name, said(error))) from error
        return own(array, given)


def _closed(values: Dict[str, Any]) -> Any:
    raise NeuropodError("the model is closed")


def _strings(name: str, array: Any) -> List[str]:
    if array.ndim != 1:
        raise NeuropodError(
            "input '{}': torch takes strings as a list, so with 1 dimension, got {}".format(name, array.ndim)
        )
    return to_list(array, "input '{}'".format(name))


def _differentiates(path: str) -> bool:
    """Returns whether the archive's code asks for gradients: TorchScript cannot switch them on by itself."""
    with zipfile.ZipFile(path) as files:
        return any(_GRADIENTS.search(files.read(name)) for name in files.namelist() if name.endswith(".py"))


def _arguments(module: Any) -> List[Any]:
    """Returns what forward takes, besides the module itself."""
    # torch 1.1 does not list the module itself
    return [argument for argument in module.forward.schema.arguments if argument.name != "self"]


def _has_default(argument: Any) -> bool:
    # torch 1.1 cannot be asked
    return bool(argument.has_default_value()) if hasattr(argument, "has_default_value") else False


def _plan_call(module: Any) -> Callable[[Dict[str, Any]], Any]:
    """Returns the way to call: one Dict argument takes all, otherwise each argument takes the input of its name."""
    forward, arguments = module.forward, _arguments(module)
    if len(arguments) == 1 and arguments[0].type.kind() == "DictType":
        kind = arguments[0].type
        # torch 1.1 has it in the text alone: "Dict[str, Tensor]"
        tensors, strings = (
            _takes(kind.getValueType())
            if hasattr(kind, "getValueType")
            else ("Tensor" in str(kind), "List[str]" in str(kind))
        )

        def call_with_dict(values: Dict[str, Any]) -> Any:
            if tensors and strings:
                return forward(dict(values))
            return forward({name: value for name, value in values.items() if isinstance(value, list) == strings})

        return call_with_dict
    names = [argument.name for argument in arguments]
    required = [argument.name for argument in arguments if not _has_default(argument)]

    def call_by_name(values: Dict[str, Any]) -> Any:
        extra = sorted(set(values) - set(names))
        if extra:
            raise NeuropodError(
                "the model's forward takes no argument '{}'; it takes {}".format(extra[0], ", ".join(names) or "none")
            )
        # a microsecond faster
        if list(values) == names:
            return forward(*values.values())
        absent = {name: None for name in required if name not in values}
        return forward(**dict(values, **absent))

    return call_by_name


def _takes(kind: Any) -> Tuple[bool, bool]:
    """Returns whether a Dict argument holds tensors, and whether lists of strings; others are not passed."""
    if kind.kind() == "UnionType":
        members = [_takes(member) for member in kind.containedTypes()]
        return any(tensors for tensors, _ in members), any(strings for _, strings in members)
    if kind.kind() in ("TensorType", "DynamicType"):
        return True, False
    if kind.kind() == "ListType" and kind.getElementType().kind() == "StringType":
        return False, True
    raise NeuropodError("the model's forward takes a Dict of {}; it must hold Tensor, List[str] or both".format(kind))
