"""What `infer` takes as an input: anything that has a tensor's memory, seen as a numpy array.

| from | how | no copy when |
|---|---|---|
| numpy | as it is | always |
| torch | DLPack, detached | on the CPU |
| TensorFlow, eager | numpy's view of it, read-only | it is a tensor, not a variable |
| JAX | numpy's view of it, read-only | on the CPU |
| Arrow: Array, ChunkedArray, Tensor, FixedSizeList, FixedShapeTensor | its buffer, read-only | one chunk, no strings |
| all else with `__dlpack__` or `__array_interface__` | that | its library allows |

Then the rules of numpy arrays hold: nothing is cast; what does not lie in C order is copied, with a warning; TensorFlow
and JAX copy what does not start on a multiple of 64 bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.foreign import said
from perceptum.plural import a_or_an

from ..errors import NeuropodError
from .strings import to_unicode

__all__ = ["as_numpy"]


def as_numpy(name: str, value: Any) -> NDArray[Any]:
    """Returns an input's memory as an array, perhaps read-only; raises NeuropodError where it has none for us."""
    if isinstance(value, np.ma.MaskedArray):
        raise _not_a_tensor(name, value)
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value)
    try:
        read = _READERS.get(str(type(value).__module__).partition(".")[0]) or _by_protocol(value)
        array = None if read is None else read(value)
    except KeyboardInterrupt:
        raise
    # its library may raise anything
    except BaseException as error:
        raise NeuropodError(f"input '{name}': cannot be read from {_kind(value)}: {said(error)}") from error
    if array is None:
        raise _not_a_tensor(name, value)
    if not isinstance(array, np.ndarray):
        raise NeuropodError(f"input '{name}': {_kind(value)} gives {a_or_an(type(array).__name__)}, not an array")
    return array


def _kind(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _by_protocol(value: Any) -> Callable[[Any], NDArray[Any]] | None:
    if hasattr(value, "__dlpack__"):
        return _from_dlpack
    return np.asarray if hasattr(value, "__array_interface__") else None


def _from_dlpack(value: Any) -> NDArray[Any]:
    array: NDArray[Any] = np.from_dlpack(value)
    return array


def _from_torch(tensor: Any) -> NDArray[Any]:
    if not tensor.is_cpu:
        raise NeuropodError(f"it is on {tensor.device}; call its .cpu() first")
    return _from_dlpack(tensor.detach().resolve_conj().resolve_neg())


def _from_tensorflow(tensor: Any) -> NDArray[Any]:
    array = np.asarray(tensor)
    return to_unicode(array) if array.dtype == object else array


def _from_arrow(value: Any) -> NDArray[Any]:
    import pyarrow as pa

    if isinstance(value, pa.ChunkedArray):
        value = value.chunk(0) if value.num_chunks == 1 else value.combine_chunks()
    if isinstance(value, pa.Tensor):
        return np.asarray(value.to_numpy())
    if not isinstance(value, pa.Array):
        raise NeuropodError("of Arrow's types, an Array, a ChunkedArray or a Tensor can be an input")
    if value.null_count:
        raise NeuropodError(f"it has {value.null_count} nulls, which a tensor cannot hold; fill them first")
    if isinstance(value, pa.FixedShapeTensorArray):
        return np.asarray(value.to_numpy_ndarray())
    if isinstance(value, pa.FixedSizeListArray):
        flat = _from_arrow(value.flatten())
        return flat.reshape(len(value), value.type.list_size, *flat.shape[1:])
    if pa.types.is_string(value.type) or pa.types.is_large_string(value.type):
        return to_unicode([str(text) for text in value.to_pylist()])
    array: NDArray[Any] = value.to_numpy(zero_copy_only=True)
    return array


_READERS: dict[str, Callable[[Any], NDArray[Any]]] = {
    "torch": _from_torch,
    "tensorflow": _from_tensorflow,
    "jax": np.asarray,
    "jaxlib": np.asarray,
    "pyarrow": _from_arrow,
}
"""First part of the module that a type comes from -> what reads it."""


def _not_a_tensor(name: str, value: Any) -> NeuropodError:
    return NeuropodError(f"input '{name}' must be a numpy array, got {type(value).__name__}; nothing is converted")
