"""Measures which hand-offs copy and writes docs/zero_copy.md: python docs/generate_zero_copy.py [--check]

Where a framework says where its tensor is, addresses are compared. onnxruntime and JAX do not say where a call
reads: there a call that looks at nothing of 16 MiB, or at one number, is timed against the time that copying takes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.neuropod import as_tensorflow, as_torch
from perceptum.neuropod.frameworks.handoff import address, aligned_empty
from perceptum.neuropod.frameworks.tensorflow import import_tensorflow

PAGE = Path(__file__).with_name("zero_copy.md")
DTYPES = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
LARGE_BYTES = 16 << 20

Array = NDArray[Any]
Copies = Callable[[Array], bool]


def kinds(dtype: str) -> dict[str, Array]:
    """Returns arrays that differ in what a framework may mind."""
    whole = aligned_empty((LARGE_BYTES // np.dtype(dtype).itemsize + 64,), np.dtype(dtype))
    whole[:] = 1
    size = LARGE_BYTES // np.dtype(dtype).itemsize
    read_only = whole[:size].view()
    read_only.flags.writeable = False
    return {"aligned": whole[:size], "aligned, read-only": read_only, "not on a multiple of 64": whole[1 : size + 1]}


def into_torch(array: Array) -> bool:
    return as_torch(array).data_ptr() != address(array)


def into_tensorflow_eager(array: Array) -> bool:
    return address(np.asarray(memoryview(as_tensorflow(array)))) != address(array)


def tensorflow_session(dtype: str) -> tuple[Copies, Copies]:
    """Returns a check whether a session copies what it is fed, and what it gives."""
    tf = import_tensorflow()

    told: list[int] = []

    def tell(fed: Array) -> Array:
        told.append(address(fed))
        return np.int32(0)  # type: ignore[return-value]

    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(dtype, [None])
        seen = tf.numpy_function(tell, [x], tf.int32)
        out = tf.concat([x, x], 0)
        out_seen = tf.numpy_function(tell, [out], tf.int32)
    session = tf.compat.v1.Session(graph=graph)

    def into(array: Array) -> bool:
        session.run(seen, {x: array})
        return told[-1] != address(array)

    def back(array: Array) -> bool:
        found = session.run([out, out_seen], {x: array})[0]
        return told[-1] != address(found)

    return into, back


def onnx_model(dtype: str) -> tuple[Copies, Copies]:
    import onnxruntime as ort
    from onnx import helper

    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        [helper.make_node("Shape", ["x"], ["size"])],
        "graph",
        [helper.make_tensor_value_info("x", kind, ["n"])],
        [helper.make_tensor_value_info("size", helper.np_dtype_to_tensor_dtype(np.dtype("int64")), [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    def back(array: Array) -> bool:
        lent = ort.OrtValue.ortvalue_from_numpy(array)
        return address(lent.numpy()) != lent.data_ptr()

    return lambda array: _takes_as_long_as_a_copy(lambda: session.run(["size"], {"x": array}), array), back


def jax_function(dtype: str) -> tuple[Copies, Copies]:
    import jax

    from perceptum.neuropod.backends.jax import _to_numpy

    first = jax.jit(lambda x: x[0])

    def into(array: Array) -> bool:
        with jax.enable_x64(True):
            return _takes_as_long_as_a_copy(lambda: first(array).block_until_ready(), array)

    def back(array: Array) -> bool:
        with jax.enable_x64(True):
            made = jax.numpy.asarray(array) + 1
        return address(_to_numpy(made)) != made.unsafe_buffer_pointer()

    return into, back


def torch_back(array: Array) -> bool:
    tensor = as_torch(array) + 1
    return bool(address(tensor.numpy()) != tensor.data_ptr())


def _takes_as_long_as_a_copy(call: Callable[[], object], array: Array) -> bool:
    out = np.empty_like(array)
    return _seconds(call) > _seconds(lambda: np.copyto(out, array)) / 4


def _seconds(call: Callable[[], object], rounds: int = 9) -> float:
    call()
    took = []
    for _ in range(rounds):
        start = perf_counter()
        call()
        took.append(perf_counter() - start)
    return median(took)


def measure() -> list[tuple[str, str, dict[str, list[str]]]]:
    """Returns (from, to, kind of array -> the dtypes that are copied)."""
    makers: list[tuple[str, str, Callable[[str], Copies]]] = [
        ("numpy", "torch", lambda _: into_torch),
        ("numpy", "TensorFlow session", lambda dtype: tensorflow_session(dtype)[0]),
        ("numpy", "TensorFlow eager (DLPack)", lambda _: into_tensorflow_eager),
        ("numpy", "onnxruntime", lambda dtype: onnx_model(dtype)[0]),
        ("numpy", "JAX", lambda dtype: jax_function(dtype)[0]),
        ("torch", "numpy", lambda _: torch_back),
        ("TensorFlow session", "numpy", lambda dtype: tensorflow_session(dtype)[1]),
        ("onnxruntime", "numpy", lambda dtype: onnx_model(dtype)[1]),
        ("JAX", "numpy", lambda dtype: jax_function(dtype)[1]),
    ]
    return [(source, target, _copied(source, make)) for source, target, make in makers]


def _copied(source: str, make: Callable[[str], Copies]) -> dict[str, list[str]]:
    dtypes = [d for d in DTYPES if source != "torch" or d not in ("uint16", "uint32", "uint64")]  # cannot add these
    found: dict[str, list[str]] = {}
    for dtype in dtypes:
        copies = make(dtype)
        for kind, array in kinds(dtype).items():
            found.setdefault(kind, [])
            if copies(array):
                found[kind].append(dtype)
    return found


def page() -> str:
    rows = measure()
    names = list(kinds("int8"))
    lines = [
        "# Copies between numpy and the frameworks",
        "",
        "Measured, on the CPU, by `python docs/generate_zero_copy.py`; a test measures again. Addresses are compared",
        "where the framework gives them; onnxruntime and JAX do not, there a call on 16 MiB is timed against a copy.",
        f"Dtypes: {', '.join(DTYPES)}.",
        "",
        f"| from | to | {' | '.join(names)} |",
        f"|---|---|{'---|' * len(names)}",
    ]
    for source, target, copied in rows:
        into = source == "numpy"
        cells = [_cell(copied[name]) for name in (names if into else names[:1])]
        cells = cells if into else [cells[0], "", ""]
        lines.append(f"| {source} | {target} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *_NOTES]) + "\n"


def _cell(copied: list[str]) -> str:
    if not copied:
        return "no copy"
    return "copy" if len(copied) == len(DTYPES) else f"copy: {', '.join(copied)}"


_NOTES = (
    "- Arrays whose elements are not contiguous in memory are copied once, with a warning, by `infer`.",
    "- Big-endian, bool, float16 and object arrays are refused: no spec can hold them, and nothing is cast.",
    "- Strings have a form of their own in every framework and are always converted.",
    "- An output that is an input, a weight or another output is copied: outputs are the caller's own.",
    "- numpy's own arrays seldom start on a multiple of 64; those of a builder always do.",
    "- TensorFlow aborts the process when DLPack brings it memory that does not start on a multiple of 64: `infer` and",
    "  `as_tensorflow` check, and copy.",
)


def main() -> int:
    if "--check" in sys.argv:
        return 0 if PAGE.read_text(encoding="utf-8") == page() else 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
