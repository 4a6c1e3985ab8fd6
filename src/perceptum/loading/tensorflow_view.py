"""A loader's batches as a tf.data.Dataset, over the same memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from perceptum.builders.batch import batch_rows
from perceptum.builders.plan import SINGLE
from perceptum.errors import UsageError
from perceptum.neuropod.frameworks.tensorflow import import_tensorflow

if TYPE_CHECKING:
    from .loader import Loader

__all__ = ["tf_dataset"]


def tf_dataset(loader: Loader, inputs: Iterable[str] | None, targets: Iterable[str] | None) -> Any:
    """Returns a tf.data.Dataset of {name: tensor}; with `targets` of ({input}, {target}), as Keras' fit takes it.

    Each iteration of it is an epoch of the loader. TensorFlow takes arrays that start on a multiple of 64 bytes as they
    are, and these do. Raises UsageError for a name that is not in a batch.
    """
    tf = import_tensorflow()
    if not loader.builder.plan.single:
        raise UsageError(f"tf_dataset wants a loader of one spec; this one has {', '.join(loader.specs)}")
    shapes = _shapes(loader)
    outputs = None if targets is None else _known(list(targets), shapes)
    names = list(shapes) if inputs is None else _known(list(inputs), shapes)
    if inputs is None and outputs is not None:
        names = [name for name in names if name not in outputs]

    def signature(names: list[str]) -> dict[str, Any]:
        return {name: tf.TensorSpec(shapes[name][1], shapes[name][0]) for name in names}

    def batches() -> Iterator[Any]:
        for batch in loader:
            found = {name: batch[name] for name in names}
            yield found if outputs is None else (found, {name: batch[name] for name in outputs})
            # else the last batch's memory is held until the next is there
            del batch, found

    both = signature(names) if outputs is None else (signature(names), signature(outputs))
    dataset = tf.data.Dataset.from_generator(batches, output_signature=both)
    # an upper bound where frames are left out; Keras shows it
    return dataset.apply(tf.data.experimental.assert_cardinality(len(loader))) if not loader.leaves_out else dataset


def _shapes(loader: Loader) -> dict[str, tuple[str, tuple[int | None, ...]]]:
    """Returns name -> dtype and shape, None where batches differ."""
    rows = loader.builder.plan.rows[SINGLE]
    if loader.batch_size is None:
        return {row.name: (row.row.dtype, tuple(row.fixed)) for row in rows}
    return batch_rows(rows)


def _known(names: list[str], shapes: dict[str, Any]) -> list[str]:
    for name in names:
        if name not in shapes:
            raise UsageError(f"no tensor '{name}' in a batch of this loader; there are {', '.join(shapes)}")
    return names
