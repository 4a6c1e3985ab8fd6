"""TorchScript archives from before torch 1.3, which today's torch refuses, rewritten into the form it reads.

Old: model.json has a tree of modules and a table of tensors (pieces of files under tensors/); each module names its
parameters (indices into the table), its attributes (indices into attributes.pkl) and the file with its methods.
New: data.pkl holds the tree as objects of classes, which code/__torch__.py spells out with their methods.
"""

from __future__ import annotations

import io
import json
import re
import textwrap
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import NeuropodError
from ...package.archive import check_growth
from ...package.plain_pickle import Reader
from .pickle import Object, Tensor, dump

__all__ = ["is_old", "rewrite"]

# caffe2's names of element types -> torch's storage and the bytes of an element
_STORAGES = {
    "FLOAT": ("FloatStorage", 4),
    "DOUBLE": ("DoubleStorage", 8),
    "FLOAT16": ("HalfStorage", 2),
    "INT8": ("CharStorage", 1),
    "INT16": ("ShortStorage", 2),
    "INT32": ("IntStorage", 4),
    "INT64": ("LongStorage", 8),
    "UINT8": ("ByteStorage", 1),
    "BOOL": ("BoolStorage", 1),
}
_SAVE_AGAIN = "save the model again with torch 1.3 or newer"


def is_old(archive: bytes | Path) -> bool:
    """Returns whether a model.pt, its bytes or its path, is such an archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive) if isinstance(archive, bytes) else archive) as files:
            return any(name.count("/") == 1 and name.endswith("/model.json") for name in files.namelist())
    except zipfile.BadZipFile:
        return False


def rewrite(archive: bytes) -> bytes:
    """Returns the archive in today's form; raises NeuropodError for the rare parts that cannot be written in it."""
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        check_growth(files.infolist(), len(archive))
        root = next(n for n in files.namelist() if n.endswith("/model.json")).partition("/")[0]
        old = {name.partition("/")[2]: files.read(name) for name in files.namelist() if name.startswith(f"{root}/")}
    try:
        return _write(_Rewriter(old).files())
    except (KeyError, IndexError, TypeError, ValueError) as error:
        if isinstance(error, NeuropodError):
            raise
        raise NeuropodError(f"the old TorchScript archive is broken ({error!r}); {_SAVE_AGAIN}") from error


def _write(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(f"model/{name}", data)
    return out.getvalue()


class _Rewriter:
    """One archive being rewritten: `files` gives the new one's files."""

    def __init__(self, old: Mapping[str, bytes]) -> None:
        self._old = old
        self._model = json.loads(old["model.json"])
        self._tensors = [_tensor(t, old) for t in self._model.get("tensors", [])]
        self._attributes = _attributes(old)
        self._classes: list[str] = []
        self._refuse_classes()

    def files(self) -> dict[str, bytes]:
        module = self._module(self._model["mainModule"], "Model")
        code = "\n".join(self._classes)
        constants = tuple(replace(t, requires_grad=False) for t in self._tensors) if "CONSTANTS." in code else ()
        data = {f"{place}/{key}": self._old[key] for place in ("data", "constants") for key in self._keys()}
        return {
            "version": self._old.get("version", b"1\n"),
            "data.pkl": dump(module),
            "constants.pkl": dump(constants),
            "code/__torch__.py": code.encode(),
            **(data if constants else {n: d for n, d in data.items() if n.startswith("data/")}),
        }

    def _keys(self) -> list[str]:
        return sorted({tensor.key for tensor in self._tensors})

    def _refuse_classes(self) -> None:
        own = [n for n in self._old if re.fullmatch(r"libs(/.*)?\.py", n) and _body(self._old[n]).strip()]
        if own:
            raise NeuropodError(f"the old TorchScript archive has classes of its own in {own[0]}; {_SAVE_AGAIN}")

    def _module(self, module: Mapping[str, Any], name: str) -> Object:
        if "getStateAttributeId" in module:
            raise NeuropodError(f"the old TorchScript archive sets its own state; {_SAVE_AGAIN}")
        state: dict[str, Any] = {}
        types: dict[str, str] = {}
        buffers: list[str] = []
        for parameter in module.get("parameters", []):
            key = parameter["name"]
            state[key], types[key] = self._tensors[int(parameter.get("tensorId", 0))], "Tensor"
            if parameter.get("isBuffer"):
                buffers.append(key)
        parameters = [key for key in state if key not in buffers]
        for attribute in module.get("attributes", []):
            if attribute["name"] not in state:
                state[attribute["name"]] = self._attributes[int(attribute.get("id", 0))]
                types[attribute["name"]] = attribute["type"]
        for index, child in enumerate(module.get("submodules", [])):
            made = self._module(child, f"{name}_{index}")
            state[child["name"]], types[child["name"]] = made, f"__torch__.{made.name}"
        self._classes.append(_class(name, parameters, buffers, types, self._methods(module)))
        return Object(name, state, types)

    def _methods(self, module: Mapping[str, Any]) -> str:
        key = module.get("torchscriptArena", {}).get("key")
        return _body(self._old[key]) if key else ""


def _class(name: str, parameters: list[str], buffers: list[str], types: Mapping[str, str], methods: str) -> str:
    lines = [f"__parameters__ = {_names(parameters)}", f"__buffers__ = {_names(buffers)}"]
    lines += [f"{key} : {kind}" for key, kind in types.items()]
    typed = re.sub(r"(?m)^(def \w+\(self)(?=[,)])", rf"\1: __torch__.{name}", methods)
    return f"class {name}(Module):\n" + textwrap.indent("\n".join(lines) + "\n" + typed, "  ") + "\n"


def _names(names: list[str]) -> str:
    return "[" + "".join(f'"{name}", ' for name in names) + "]"


def _body(source: bytes) -> str:
    return re.sub(r"(?m)^op_version_set = \d+\n?", "", source.decode())


def _tensor(tensor: Mapping[str, Any], old: Mapping[str, bytes]) -> Tensor:
    kind = tensor.get("dataType", "FLOAT")
    if kind not in _STORAGES or tensor.get("isQuantized"):
        raise NeuropodError(f"the old TorchScript archive holds a tensor of type {kind}; {_SAVE_AGAIN}")
    storage, item_bytes = _STORAGES[kind]
    key = tensor["data"]["key"]
    return Tensor(
        storage=storage,
        key=key,
        items=len(old[key]) // item_bytes,
        offset=int(tensor.get("offset", 0)),
        shape=tuple(int(size) for size in tensor.get("dims", [])),
        strides=tuple(int(step) for step in tensor.get("strides", [])),
        requires_grad=bool(tensor.get("requiresGrad", False)),
    )


class _Plain(Reader):
    """Reads attributes.pkl: plain values, and the typed lists that torch wrote; nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch.jit._pickle" and re.fullmatch(r"build_(int|double|bool)list", name):
            return list
        raise NeuropodError(f"holds {module}.{name}")


def _attributes(old: Mapping[str, bytes]) -> list[Any]:
    if "attributes.pkl" not in old:
        return []
    try:
        return list(_Plain(old["attributes.pkl"]).load())
    except Exception as error:  # a hostile pickle can make its reader raise anything
        raise NeuropodError(
            f"the old TorchScript archive's attributes cannot be read ({error}); {_SAVE_AGAIN}"
        ) from error
