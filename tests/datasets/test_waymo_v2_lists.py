"""Waymo v2's lists, decoded here: the same rows as Arrow's, whatever was written; broken pages end nothing."""

import io
from itertools import islice
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from perceptum.datasets.waymo_v2 import float_lists
from perceptum.datasets.waymo_v2.float_lists import rows_of
from perceptum.datasets.waymo_v2.pages import PLAIN, Page, Unlike
from perceptum.datasets.waymo_v2.parquet import Rows
from perceptum.datasets.waymo_v2.unpack import unpack
from perceptum.inputs import BrokenRecord


def written(table, **options):
    out = io.BytesIO()
    parquet.write_table(table, out, **options)
    return out.getvalue()


def rows_both_ways(data, columns):
    """The rows by our reading and by Arrow's."""
    source = pa.BufferReader(data)
    file = parquet.ParquetFile(source)
    groups = list(range(file.num_row_groups))
    return list(rows_of(file, source.read_at, groups, columns)), list(file.iter_batches(1, groups, columns))


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.schema.names == b.schema.names
        for x, y in zip(a.columns, b.columns, strict=True):
            x.validate(full=True)
            assert (x.type, x.is_null().to_pylist()) == (y.type, y.is_null().to_pylist())
            # as bytes: a NaN is itself
            assert repr(x.to_pylist()) == repr(y.to_pylist())


def floats(most):
    few = st.sampled_from([-1.0, 0.5, np.nan, -0.0])
    return st.lists(st.one_of(few, st.floats(width=32)), min_size=1, max_size=most)


ROWS = st.one_of(
    st.lists(floats(300), min_size=1, max_size=8),
    st.lists(st.one_of(st.none(), floats(40)), min_size=1, max_size=30),
    st.lists(st.lists(st.one_of(st.none(), st.just(1.5)), max_size=9), min_size=1, max_size=30),
)
OPTIONS = st.fixed_dictionaries(
    {
        "compression": st.sampled_from(["none", "snappy", "brotli", "zstd", "gzip", "lz4"]),
        "use_dictionary": st.booleans(),
        "data_page_version": st.sampled_from(["1.0", "1.0", "2.0"]),
        "data_page_size": st.sampled_from([1, 64, 1000, 1 << 20]),
        "dictionary_pagesize_limit": st.sampled_from([64, 1 << 20]),
        "write_batch_size": st.sampled_from([1, 7, 1024]),
        "row_group_size": st.sampled_from([1, 3, 100]),
        "write_page_checksum": st.booleans(),
    }
)


@settings(max_examples=200, deadline=None)
@given(rows=ROWS, options=OPTIONS)
def test_rows_are_arrows_whatever_was_written(rows, options):
    table = pa.table({"n": range(len(rows)), "v": pa.array(rows, pa.list_(pa.float32()))})
    assert_same(*rows_both_ways(written(table, **options), ["v", "n"]))


@pytest.mark.parametrize("codec", ["none", "snappy", "brotli", "zstd", "gzip"])
@pytest.mark.parametrize("distinct", [1, 100, 100_000])
def test_what_is_written_as_published_is_not_left_to_arrow(codec, distinct):
    rng = np.random.default_rng(0)
    values = rng.normal(size=distinct).astype(np.float32)
    rows = [None if i == 2 else values[rng.integers(0, distinct, 20_000)] for i in range(5)]
    data = written(
        pa.table({"v": pa.array(rows, pa.list_(pa.float32()))}), compression=codec, dictionary_pagesize_limit=100_000
    )
    ours, theirs = rows_both_ways(data, ["v"])
    assert_same(ours, theirs)
    with patch.object(float_lists, "_by_arrow", side_effect=AssertionError("left to Arrow")):
        again = rows_both_ways(data, ["v"])[0]
    assert [row.equals(first) for row, first in zip(again, ours, strict=True)] == [True] * 5


def a_page(begins, numbers):
    """A plain page of a few numbers, with a level for each that tells whether a row begins."""
    levels = np.packbits(~np.array(begins), bitorder="little").tobytes()
    repetitions, definitions = bytes([len(levels) << 1 | 1]) + levels, bytes([len(numbers) << 1, 3])
    sized = [len(part).to_bytes(4, "little") + part for part in (repetitions, definitions)]
    return Page(False, PLAIN, len(numbers), b"".join(sized) + np.asarray(numbers, "<f4").tobytes())


@pytest.mark.parametrize("cuts", [(), (1,), (3,), (4, 6), (1, 2, 3, 4, 5, 6, 7)])
def test_a_row_may_go_on_in_the_next_pages_as_old_writers_let_it(cuts):
    begins, numbers = np.array([1, 0, 0, 1, 0, 0, 0, 1], bool), np.arange(8)
    cut = [a_page(*part) for part in zip(np.split(begins, cuts), np.split(numbers, cuts), strict=True)]
    with patch.object(float_lists, "pages", lambda *_: cut):
        rows = [row.tolist() for row in float_lists._rows(None, None)]
    assert rows == [[0, 1, 2], [3, 4, 5, 6], [7]]


@pytest.mark.parametrize(
    "kind",
    [pa.list_(pa.float64()), pa.list_(pa.float32(), 2), pa.list_(pa.field("item", pa.float32(), nullable=False))],
)
def test_lists_of_another_form_are_left_to_arrow(kind):
    data = written(pa.table({"v": pa.array([[1, 2], [3, 4]], kind)}))
    assert_same(*rows_both_ways(data, ["v"]))


def slow_unpacked(data, bits, count):
    """The indexes by the format's text, bit by bit; None where the bytes end before `count`."""
    left, found = bytes(data), []
    while len(found) < count:
        size = next((i + 1 for i, byte in enumerate(left[:5]) if byte < 128), 0)
        if not size:
            return None
        header = sum((byte & 127) << 7 * i for i, byte in enumerate(left[:size]))
        packed, number = header & 1, header >> 1
        body = number * bits if packed else (bits + 7) // 8
        if len(left) < size + body:
            return None
        word = int.from_bytes(left[size : size + body], "little")
        some = min(number * 8 if packed else number, count - len(found))
        found += [word >> bits * i & (1 << bits) - 1 for i in range(some)] if packed else [word] * some
        left = left[size + body :]
    return found


RUNS = st.lists(st.one_of(st.integers(0, 255), st.sampled_from([2, 3, 5, 9, 17])), max_size=60)


@settings(max_examples=500, deadline=None)
@given(data=RUNS, bits=st.integers(0, 24), count=st.integers(0, 200), most=st.sampled_from([0, 1, 3, 300, 70_000]))
def test_any_bytes_unpack_as_the_format_says_or_are_refused(data, bits, count, most):
    meanings, out = np.arange(most, dtype=np.float32) + 0.5, np.zeros(count, np.float32)
    done = unpack(np.array(data, np.uint8), bits, meanings, out)
    wanted = slow_unpacked(data, bits, count)
    assert done == (wanted is not None and max(wanted, default=-1) < most)
    if done:
        assert out.tolist() == [index + 0.5 for index in wanted]


@pytest.fixture(scope="module")
def whole():
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 50, 400).astype(np.float32) for _ in range(6)]
    table = pa.table({"v": pa.array(rows, pa.list_(pa.float32()))})
    return [written(table, compression=codec, data_page_size=900) for codec in ("none", "snappy", "brotli")]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_changed_pages_are_read_or_refused_in_one_line(whole, tmp_path_factory, said_of, data):
    changed = bytearray(data.draw(st.sampled_from(whole)))
    near = st.one_of(st.integers(0, 80), st.integers(0, len(changed) - 1))
    for at, value in data.draw(st.lists(st.tuples(near, st.integers(0, 255)), max_size=4)):
        changed[at] = value
    path = tmp_path_factory.mktemp("changed") / "s.parquet"
    path.write_bytes(bytes(changed))
    said_of(lambda: [Rows(path, ("v",), "").at(row) for row in range(6)])


def test_a_compression_that_there_is_not_is_an_error_and_not_the_end_of_the_process(tmp_path):
    data = written(pa.table({"v": pa.array([[1.0], [2.0]], pa.list_(pa.float32()))}), compression="snappy")
    # in the footer: the name of the column's numbers, then their compression, a number of its own
    assert data.count(b"\x07element\x15\x02") == 1
    (tmp_path / "s.parquet").write_bytes(data.replace(b"\x07element\x15\x02", b"\x07element\x15\x70"))
    with pytest.raises(BrokenRecord, match=r"s\.parquet: not a complete Parquet file \(Unsupported compression"):
        Rows(tmp_path / "s.parquet", ("v",), "").at(0)


def test_a_page_that_is_not_understood_goes_on_by_arrow_at_the_same_row(whole):
    known, by_arrow = float_lists.pages, float_lists._by_arrow

    def three_pages(*given):
        yield from islice(known(*given), 3)
        raise Unlike("a fourth page")

    with (
        patch.object(float_lists, "pages", three_pages),
        patch.object(float_lists, "_by_arrow", side_effect=by_arrow) as asked,
    ):
        ours, theirs = rows_both_ways(whole[0], ["v"])
    assert_same(ours, theirs)
    asked.assert_called_once()
