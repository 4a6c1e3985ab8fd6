"""The Arrow file of outputs: what was written is read back, whatever its shape and type; it is whole or not there."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from perceptum.errors import UsageError
from perceptum.results import ENDINGS, ResultsWriter, read_results

DTYPES = (
    "float32",
    "float64",
    *(f"{sign}int{bits}" for sign, bits in itertools.product(("", "u"), (8, 16, 32, 64))),
)


def row(name, dtype):
    return {"name": name, "dtype": dtype, "shape": [None]}


def fail_with(error: type[BaseException], *_: object) -> None:
    raise error


ENDINGS_AND_NONE = [*ENDINGS, "", ".v2"]


@pytest.mark.parametrize("ending", ENDINGS_AND_NONE)
def test_a_file_is_of_the_format_that_its_name_says(tmp_path, ending):
    path = tmp_path / f"r{ending}"
    round_trip(path, "float32", np.zeros((2, 7), np.float32))
    assert path.read_bytes().startswith(b"PAR1" if ending == ".parquet" else b"ARROW1")


@pytest.mark.parametrize("ending", [".arrow", ".parquet"])
def test_both_formats_hold_the_same(tmp_path, ending):
    path = tmp_path / f"r{ending}"
    outputs = [*(row(dtype, dtype) for dtype in DTYPES), row("string", "string"), row("late", "float64")]
    arrays = {dtype: np.arange(6, dtype=dtype).reshape(2, 3) for dtype in DTYPES}
    arrays |= {"string": np.array([["car", ""]]), "late": np.zeros((0, 7))}
    with ResultsWriter(path, outputs, {"model": "m"}, {"late": "lidar"}) as writer:
        writer.write(0, 10**18, arrays, "000134", np.eye(4))
        writer.write(1, 10**18 + 1, {}, "a:b")
    first, second = read_results(path)
    assert (first["frame"], first["frame_id"], first["time_ns"]) == (0, "000134", 10**18)
    for name, array in arrays.items():
        assert (first[name].shape, first[name].tolist(), second[name]) == (array.shape, array.tolist(), None)
        assert name == "string" or first[name].dtype == array.dtype
    assert (first["ego_from_lidar"].tolist(), second["ego_from_lidar"]) == (np.eye(4).tolist(), None)
    assert next(iter(read_results(path, boxes="late")))["late"].shape == (0, 7)


def test_a_file_of_another_format_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UsageError, match=r"results are an Arrow file, .* or a \.parquet file; name it .*r\.arrow$"):
        ResultsWriter(tmp_path / "r.npz", [], {})


def round_trip(path: Path, dtype: str, *arrays):
    with ResultsWriter(path, [row("out", dtype)], {}) as writer:
        for number, array in enumerate(arrays):
            writer.write(number, 10**18 + number, {} if array is None else {"out": array})
    return list(read_results(path))


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_every_array_comes_back_as_it_was(tmp_path_factory, dtype, data):
    shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    array = data.draw(hnp.arrays(dtype, shapes))
    (back,) = round_trip(tmp_path_factory.mktemp("arrow") / "r.arrow", dtype, array)
    assert back["out"].dtype == array.dtype
    assert back["out"].shape == array.shape
    assert back["out"].tobytes() == array.tobytes()


def test_strings_come_back_as_they_were(tmp_path):
    words = np.array([["car", "", "Fußgänger"], ["[bold]", "a b", "\N{BUS}"]])
    (back,) = round_trip(tmp_path / "r.arrow", "string", words)
    assert back["out"].dtype.kind == "U"
    assert back["out"].tolist() == words.tolist()
    assert back["out"].shape == (2, 3)


def test_no_boxes_keep_their_width(tmp_path):
    (back,) = round_trip(tmp_path / "r.arrow", "float32", np.zeros((0, 7), np.float32))
    assert back["out"].shape == (0, 7)


def test_what_a_model_left_out_is_none(tmp_path):
    full = np.arange(3, dtype=np.float32)
    rows = round_trip(tmp_path / "r.arrow", "float32", None, full, None)
    assert [None if r["out"] is None else r["out"].tolist() for r in rows] == [None, [0, 1, 2], None]


def test_arrays_out_of_order_in_memory_are_written_in_theirs(tmp_path):
    array = np.arange(24, dtype=np.int32).reshape(2, 3, 4).transpose(2, 0, 1)[::-1]
    array.flags.writeable = False
    (back,) = round_trip(tmp_path / "r.arrow", "int32", array)
    np.testing.assert_array_equal(back["out"], array)


def test_what_is_read_outlives_the_file_and_may_be_changed(tmp_path):
    path = tmp_path / "r.arrow"
    rows = round_trip(path, "float32", *(np.full((100, 100), i, np.float32) for i in range(3)))
    path.unlink()
    rows[1]["out"] += 1
    assert [float(r["out"].mean()) for r in rows] == [0, 2, 2]


def test_frames_carry_their_number_and_time(tmp_path):
    rows = round_trip(tmp_path / "r.arrow", "uint8", *[np.zeros(0, np.uint8)] * 2)
    assert [(r["frame"], r["time_ns"]) for r in rows] == [(0, 10**18), (1, 10**18 + 1)]


def test_frames_carry_their_id_or_their_time(tmp_path):
    path = tmp_path / "r.arrow"
    with ResultsWriter(path, [], {}) as writer:
        writer.write(7, 10**18, {}, frame_id="000134")
        writer.write(8, 10**18 + 1, {})
    assert [row["frame_id"] for row in read_results(path)] == ["000134", "1000000000000000001"]


def test_results_of_before_frames_had_ids_are_read(tmp_path):
    columns = {"frame": pa.array([3], pa.int64()), "time_ns": pa.array([5], pa.int64())}
    with pa.ipc.new_file(str(tmp_path / "r.arrow"), pa.table(columns).schema) as writer:
        writer.write_table(pa.table(columns))
    assert list(read_results(tmp_path / "r.arrow")) == [{"frame": 3, "time_ns": 5}]


def test_no_frames_are_a_file_without_rows(tmp_path):
    assert round_trip(tmp_path / "r.arrow", "float32") == []


def test_the_file_says_what_it_is_of(tmp_path):
    with ResultsWriter(tmp_path / "r.arrow", [row("out", "float32")], {"model": "m", "log": "here"}):
        pass
    with pa.memory_map(str(tmp_path / "r.arrow")) as source:
        assert pa.ipc.open_file(source).schema.metadata == {b"model": b"m", b"log": b"here"}


def test_the_name_appears_when_the_file_is_whole(tmp_path):
    path = tmp_path / "r.arrow"
    with ResultsWriter(path, [row("out", "float32")], {}) as writer:
        writer.write(0, 0, {"out": np.zeros(2, np.float32)})
        assert not path.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["r.arrow"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_on_the_way_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "r.arrow"
    round_trip(path, "float32", np.ones(1, np.float32))
    before = path.read_bytes()
    with pytest.raises(error), ResultsWriter(path, [row("out", "float32")], {}) as writer:
        fail_with(error, writer.write(0, 0, {"out": np.zeros(2, np.float32)}))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["r.arrow"]


@pytest.mark.parametrize("name", ["frame", "frame_id", "time_ns"])
def test_an_output_with_the_name_of_a_column_is_refused(tmp_path, name):
    with pytest.raises(UsageError) as refused:
        ResultsWriter(tmp_path / "r.arrow", [row(name, "int64")], {})
    assert str(refused.value) == (
        f"cannot write {tmp_path / 'r.arrow'}: the model's output '{name}' has the name of a column of ours"
    )


EGO_FROM_LIDAR = np.array([[0.0, 1, 0, 0.9], [-1, 0, 0, 0], [0, 0, 1, 1.8], [0, 0, 0, 1]])


def boxes_file(path, frames, mounting=EGO_FROM_LIDAR):
    rows = [{"name": "boxes", "dtype": "float32", "shape": ["n", 7]}]
    with ResultsWriter(path, rows, {}, frames) as writer:
        assert writer.wants_mounting == ("lidar" in frames.values())
        writer.write(0, 5, {"boxes": np.array([[-10, 19.1, -0.8, 4, 2, 1, np.pi / 2]], np.float32)}, None, mounting)
        writer.write(1, 6, {}, None, mounting)
    return path


def test_boxes_in_the_lidars_axes_are_kept_as_they_are_and_turned_on_demand(tmp_path):
    path = boxes_file(tmp_path / "r.arrow", {"boxes": "lidar"})
    kept, without = read_results(path)
    assert kept["boxes"][0, :2].tolist() == [-10, np.float32(19.1)]
    assert kept["ego_from_lidar"].tolist() == EGO_FROM_LIDAR.tolist()
    assert without["boxes"] is None
    turned, without = read_results(path, boxes="boxes")
    np.testing.assert_allclose(turned["boxes"], [[20, 10, 1, 4, 2, 1, 0]], atol=1e-6)
    assert without["boxes"] is None


def test_boxes_in_the_ego_frame_are_not_turned(tmp_path):
    path = boxes_file(tmp_path / "r.arrow", {"boxes": "ego"})
    kept, _ = read_results(path, boxes="boxes")
    assert kept["boxes"][0, :2].tolist() == [-10, np.float32(19.1)]
    assert "ego_from_lidar" not in kept


def test_boxes_of_unknown_axes_are_not_turned(tmp_path):
    path = tmp_path / "r.arrow"
    for frames, name, mounting, wanted in (
        ({}, "boxes", None, "the frame of reference of the output 'boxes' is not known; run infer again"),
        ({"boxes": "lidar"}, "box", None, "no output 'box'; there are boxes"),
        ({"boxes": "lidar"}, "boxes", None, "frame 0 does not say where the lidar is mounted"),
    ):
        with pytest.raises(UsageError) as refused:
            list(read_results(boxes_file(path, frames, mounting), boxes=name))
        assert str(refused.value) == f"{path}: {wanted}"
