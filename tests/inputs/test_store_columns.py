"""Columns and arrays as Arrow, and back."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from perceptum.inputs import BrokenRecord
from perceptum.inputs.store.arrays import arrays_of, batch_of_arrays
from perceptum.inputs.store.columns import batch_of, columns_of, read_batch
from perceptum.inputs.store.layout import is_inside, shard_path

NUMBERS = st.sampled_from(["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"])


def there_and_back(column, compression=None):
    batch = batch_of("test", {"a": column})
    options = pa.ipc.IpcWriteOptions(compression=compression)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    encoded = sink.getvalue()
    return columns_of("test", read_batch("test", encoded.slice(batch.schema.serialize().size), batch.schema), ["a"])[
        "a"
    ]


@given(column=NUMBERS.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=1, max_dims=2, min_side=0))))
def test_numbers_come_back_to_the_last_bit(column):
    if column.ndim == 2 and column.shape[1] == 0:
        return
    for compression in (None, "zstd", "lz4"):
        back = there_and_back(column, compression)
        assert (back.dtype, back.shape, back.tobytes()) == (column.dtype, column.shape, column.tobytes())
        assert not back.flags.writeable


@given(texts=st.lists(st.text(max_size=9), max_size=6))
def test_text_comes_back(texts):
    column = np.array(texts, dtype=np.str_)
    back = there_and_back(column)
    assert back.tolist() == column.tolist()
    assert back.dtype == column.dtype or len(texts) == 0


@pytest.mark.parametrize("column", [np.array([None]), np.array([1j]), np.zeros((1, 1, 1)), np.array([b"a"])])
def test_what_is_no_column_is_refused(column):
    with pytest.raises(BrokenRecord, match=r"^here: column a is .*, wanted numbers or text$"):
        batch_of("here", {"a": column})


def test_an_unknown_column_is_not_dropped_in_silence():
    batch = batch_of("here", {"a": np.zeros(3)})
    with pytest.raises(BrokenRecord) as caught:
        columns_of("here", batch, ["b"])
    assert str(caught.value) == "here: column 'a' is not known; a newer Perceptum may have written it"


def test_nulls_and_foreign_types_are_refused():
    batch = pa.record_batch([pa.array([1, None])], names=["a"])
    with pytest.raises(BrokenRecord, match="here: 1 nulls, wanted a value in each row"):
        read_batch("here", batch.serialize(), batch.schema)
    for array in (pa.array(["a"]), pa.array([[1]]), pa.array([b"a"]), pa.array([{"x": 1}])):
        with pytest.raises(BrokenRecord):
            columns_of("here", pa.record_batch([array], names=["a"]), ["a"])


@pytest.mark.parametrize("rows", [[[65], [66, 67]], [[], []], [[0x110000]], [[2**32 - 1]]])
def test_code_points_that_are_no_text_are_refused(rows):
    batch = pa.record_batch([pa.array(rows, pa.list_(pa.uint32()))], names=["a"])
    with pytest.raises(BrokenRecord, match="column a is not text of one width"):
        columns_of("here", batch, ["a"])


@given(
    arrays=st.dictionaries(
        st.text(max_size=5),
        st.sampled_from(["f2", "f8", "i4", "?", "U3"]).flatmap(
            lambda dtype: hnp.arrays(
                dtype,
                hnp.array_shapes(min_dims=0, max_dims=3, min_side=0),
                elements=None if dtype != "U3" else st.just("ab"),
            )
        ),
        max_size=4,
    )
)
def test_named_arrays_come_back_aligned(arrays):
    back = arrays_of("here", batch_of_arrays(arrays))
    assert list(back) == list(arrays)
    for name, array in arrays.items():
        assert (back[name].dtype, back[name].shape) == (array.dtype, array.shape)
        assert back[name].tobytes() == array.tobytes()
        assert back[name].flags.aligned


@pytest.mark.parametrize(
    ("dtype", "shape", "data"),
    [
        ("<f8", [2], b"short"),
        ("O", [1], b"12345678"),
        ("<f8", [-1], b""),
        ("nonsense", [1], b""),
        ("<f8", [2**40, 2**40], b""),
    ],
)
def test_an_array_that_its_bytes_do_not_hold_is_refused(dtype, shape, data):
    batch = batch_of_arrays({"a": np.zeros(1)})
    columns = [
        pa.array(["a"]),
        pa.array([dtype]),
        pa.array([shape], pa.list_(pa.int64())),
        pa.array([data], pa.large_binary()),
    ]
    with pytest.raises(BrokenRecord, match=r"^here: a "):
        arrays_of("here", pa.record_batch(columns, schema=batch.schema))


@given(sensor=st.text(min_size=1, max_size=20))
def test_whatever_a_sensor_is_called_its_files_lie_inside(sensor):
    try:
        path = shard_path("lidar", sensor, 0, 0)
    except UnicodeEncodeError:
        return
    assert is_inside(path)
    assert path.count("/") == 2
