"""A TensorFlow package that answers at random, as Uber's did; `create_placeholder_neuropod` needs no framework."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from perceptum.features import Row

from ..backends.random_tensors import choose_sizes
from ..frameworks.tensorflow import import_tensorflow
from ..package.rows import read_rows
from ..packagers import create_tensorflow_neuropod

__all__ = ["randomify_neuropod"]


def randomify_neuropod(
    output_path: str | os.PathLike[str],
    input_spec: Iterable[Any],
    output_spec: Iterable[Any],
    *,
    seed: int | None = None,
) -> str | os.PathLike[str]:
    """Packs a graph that takes such inputs, or none, and returns such outputs at random; returns its path.

    Sizes that the output spec leaves open are chosen now, from 1 to 99, a symbol once for all outputs. With a seed
    two packages of the same specs are the same and give the same series of answers.
    """
    tf = import_tensorflow()
    inputs = read_rows(input_spec, "input_spec")
    outputs = read_rows(output_spec, "output_spec")
    number = int(np.random.default_rng(seed).integers(2**31))
    with tf.Graph().as_default() as graph:
        for row in inputs:
            shape = [dim if isinstance(dim, int) else None for dim in row.shape]
            tf.compat.v1.placeholder(row.dtype, shape, name=f"INPUT_API/{row.name}")
        _add_outputs(tf, outputs, number)
    create_tensorflow_neuropod(
        neuropod_path=output_path,
        model_name="random_model",
        graph_def=graph.as_graph_def(),
        node_name_mapping={
            row.name: f"{side}/{row.name}:0"
            for side, rows in (("INPUT_API", inputs), ("OUTPUT_API", outputs))
            for row in rows
        },
        input_spec=inputs,
        output_spec=outputs,
    )
    return output_path


def _add_outputs(tf: Any, outputs: Sequence[Row], number: int) -> None:
    sizes = choose_sizes(outputs, number)
    for index, row in enumerate(outputs):
        shape = [
            dim if isinstance(dim, int) else sizes[dim if isinstance(dim, str) else f"{row.name}:{axis}"]
            for axis, dim in enumerate(row.shape)
        ]
        tf.identity(_random(tf, row.dtype, shape, number + index), name=f"OUTPUT_API/{row.name}")


def _random(tf: Any, dtype: str, shape: list[int], seed: int) -> Any:
    """Returns a random tensor: [0, 1), integers from 0 to below the type's greatest, or numbers as text."""
    if dtype == "string":
        return tf.strings.as_string(tf.random.uniform(shape, seed=seed))
    if dtype.startswith("float"):
        return tf.random.uniform(shape, dtype=dtype, seed=seed)
    most = min(np.iinfo(dtype).max, np.iinfo(np.int64).max)  # TensorFlow draws signed numbers only
    return tf.cast(tf.random.uniform(shape, maxval=most, dtype=tf.int64, seed=seed), dtype)
