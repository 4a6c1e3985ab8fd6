"""nuScenes' tables: JSON in pieces, tokens, and the index that is kept between runs."""

import json
import logging
import os
import threading
import time

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from perceptum.datasets import open_log
from perceptum.datasets.nuscenes import cache as nuscenes_cache
from perceptum.datasets.nuscenes import json as nuscenes_json
from perceptum.datasets.nuscenes.build import build_index
from perceptum.datasets.nuscenes.cache import cache_folder, open_index
from perceptum.datasets.nuscenes.index import COLUMNS
from perceptum.datasets.nuscenes.json import pieces
from perceptum.datasets.nuscenes.rows import AnnotationRow, LogRow, rows_in_parts
from perceptum.datasets.nuscenes.tokens import find, packed
from perceptum.inputs import BrokenRecord

from .made_nuscenes import SAMPLES, VERSION, change, make, token


class Thing(msgspec.Struct):
    name: str = ""
    numbers: list[float] = []


class Nest(msgspec.Struct):
    name: str
    things: list[dict[str, str]] = []


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(nuscenes_json, "PIECE_BYTES", 50)


@pytest.fixture
def kept(monkeypatch, tmp_path):
    """Indexes of the smallest tables are kept too, in this folder."""
    monkeypatch.setattr(nuscenes_cache, "SMALL_TABLES_BYTES", 0)
    monkeypatch.setenv("PERCEPTUM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "nuscenes"


def no_build(tables):
    raise AssertionError(f"{tables} was read again")


def said(ask, kind=BrokenRecord):
    with pytest.raises(kind) as caught:
        ask()
    text = str(caught.value)
    assert "\n" not in text
    return text


def read(path, kind):
    return [row for part in pieces(path, kind, "it is needed") for row in part]


# the text that stands between two objects, inside one
AWKWARD = st.sampled_from(['"},{"', "}, {", "[", "]", "\\", '"', "é", "NaN", "}\n,\n{"]) | st.text(max_size=8)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.fixed_dictionaries({"name": AWKWARD, "numbers": st.lists(st.floats(-9, 9), max_size=4)}), max_size=30),
    st.sampled_from([None, 0, 1]),
    st.integers(1, 300),
)
@example([{"name": '"},{"', "numbers": []}] * 9, None, 20)
def test_a_list_in_pieces_is_the_whole_list(tmp_path_factory, rows, indent, piece_bytes):
    path = tmp_path_factory.getbasetemp() / "rows.json"
    path.write_text(json.dumps(rows, indent=indent), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nuscenes_json, "PIECE_BYTES", piece_bytes)
        assert read(path, Thing) == msgspec.convert(rows, list[Thing])


def test_objects_may_hold_lists_of_objects(tmp_path, small_pieces):
    rows = [{"name": str(i), "things": [{"a": "b"}] * 5} for i in range(20)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    assert read(tmp_path / "rows.json", Nest) == msgspec.convert(rows, list[Nest])


def test_bare_nan_is_read_though_json_does_not_know_it(nuscenes, small_pieces):
    """In fields that are not read it does no harm, in others it is the number that it says."""
    change(nuscenes, "sample_annotation", lambda rows: [row.update(speed=float("nan")) for row in rows])
    change(nuscenes, "ego_pose", lambda rows: rows[0].update(extra=[float("inf"), -float("inf")]))
    path = nuscenes / VERSION / "sample_annotation.json"
    assert "NaN" in path.read_text()
    assert len(open_log(nuscenes)[1].labels) == 3
    change(nuscenes, "sample_annotation", lambda rows: rows[1].update(size=[1, float("nan"), 1]))
    sizes = np.array([row.size for part in rows_in_parts(path, AnnotationRow) for row in part])
    assert np.isnan(sizes).sum() == 1


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"", "starts with b'', wanted [, a list of rows"),
        (b'{"a": 1}', "starts with b'{\"a\": 1}', wanted [, a list of rows"),
        (b"\xef\xbb\xbf[]", "starts with b'\\xef\\xbb\\xbf[]', wanted [, a list of rows"),
        (b"[", "not the expected JSON after row 0 (Input data was truncated)"),
        (b'[{"token": "a", "location": "b"}', "not the expected JSON after row 0 (Input data was truncated)"),
        (b"[1]", "not the expected rows (Expected `object`, got `int` - at `$[0]`)"),
        (b"[{}]", "not the expected rows (Object missing required field `token` - at `$[0]`)"),
        (b'[{"token": "a", "location": NaN}]', "not the expected rows (Expected `str`, got `float`"),
        (b'[{"token": "\xff"}]', "not the expected JSON after row 0 ("),
        (
            b'[{"token": "a", "location": "b"}] x',
            "not the expected JSON after row 0 (JSON is malformed: trailing characters",
        ),
        (b'[{"token": "a", "location": "b"}, NaN' + b" " * 200, "not the expected JSON after row "),
        (b"[" * 100_000, "not the expected rows (Expected `object`, got `array`"),
        (b'[{"token": ' + b"[" * 100_000, "not the expected rows (Expected `str`, got `array`"),
    ],
)
def test_a_table_that_is_no_list_of_rows_is_named(tmp_path, small_pieces, content, wanted):
    path = tmp_path / "log.json"
    path.write_bytes(content)
    assert said(lambda: list(rows_in_parts(path, LogRow))).startswith(f"{path}: {wanted}")


@pytest.mark.parametrize("nan", ["", ', "x": NaN'])
def test_a_broken_row_is_told_by_its_number_in_the_file(tmp_path, small_pieces, nan):
    rows = [f'{{"token": "{i}", "location": "a"{nan}}}' for i in range(60)]
    rows[40] = rows[40].replace('"a"', "5")
    (tmp_path / "log.json").write_text(f"[{', '.join(rows)}]")
    assert said(lambda: list(rows_in_parts(tmp_path / "log.json", LogRow))).endswith(
        "log.json: not the expected rows (Expected `str`, got `int` - at `$[40].location`)"
    )


def test_a_file_without_an_end_of_a_row_is_given_up(tmp_path, monkeypatch, small_pieces):
    monkeypatch.setattr(nuscenes_json, "_LONGEST_PIECE", 1000)
    path = tmp_path / "log.json"
    path.write_bytes(b'[{"token": "' + b"a" * 10_000)
    assert said(lambda: list(rows_in_parts(path, LogRow))).endswith(
        "bytes are not complete rows, wanted a list of short objects"
    )


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=4), st.integers(0, 400))
def test_changed_tables_are_read_or_refused(tmp_path_factory, changes, end):
    encoded = bytearray(json.dumps([{"token": token(i), "location": "a"} for i in range(6)], indent=0).encode())
    for at, value in changes:
        encoded[at % len(encoded)] = value
    path = tmp_path_factory.getbasetemp() / "changed.json"
    path.write_bytes(bytes(encoded[: end or None]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nuscenes_json, "PIECE_BYTES", 100)
        try:
            rows = [row for part in rows_in_parts(path, LogRow) for row in part]
        except BrokenRecord as error:
            text = str(error)
            rows = []
        else:
            text = ""
    assert "\n" not in text
    assert len(rows) <= 6


@given(st.lists(st.integers(0, 12), max_size=30), st.lists(st.integers(0, 15), max_size=30), st.booleans())
def test_tokens_are_found_as_in_a_dict(table, wanted, hexadecimal):
    def named(numbers):
        return [token(number) if hexadecimal else f"token {number}" for number in numbers]

    first = {}
    for row, name in enumerate(named(table)):
        first.setdefault(name, row)
    assert find(packed(named(table)), packed(named(wanted))).tolist() == [first.get(name, -1) for name in named(wanted)]


def test_tokens_that_share_a_half_are_told_apart():
    table = packed([f"{i % 2:016x}{i:016x}" for i in range(50)])
    wanted = np.random.default_rng(0).permutation(50)
    assert find(table, table[wanted]).tolist() == wanted.tolist()


def test_32_hex_digits_are_16_bytes_and_other_tokens_are_hashed():
    usual = [token(i) for i in range(5)]
    assert packed(usual).tobytes().hex() == "".join(usual)
    mixed = [*usual, "4", "x" * 32, token(9) * 2, "ab cd" + "0" * 27]
    assert packed(mixed)[:5].tobytes() == packed(usual).tobytes()
    assert len({row.tobytes() for row in packed(mixed)}) == 9
    assert packed([]).shape == (0, 2)


def same(one, other):
    assert one.names == other.names
    assert set(one.columns) == set(other.columns) == set(COLUMNS)
    for name, column in one.columns.items():
        assert column.tobytes() == other.columns[name].tobytes(), name
        assert column.dtype == other.columns[name].dtype


def test_rows_are_sorted_by_scene_sensor_and_time(tmp_path, small_pieces):
    root = make(tmp_path, ("scene-0002", "scene-0001"))
    index = build_index(root / VERSION)
    assert index.names.scenes == ["scene-0002", "scene-0001"]
    each = sum([16, 13, 13, 10, 10])
    assert index.columns["record_start"].tolist() == [0, each, 2 * each]
    assert index.columns["box_start"].tolist() == [0, 8, 16]
    sensors = index.columns["calibration_sensor"][index.columns["record_calibration"]]
    for start in (0, each):
        rows = slice(start, start + each)
        key = list(zip(sensors[rows].tolist(), index.columns["record_time_us"][rows].tolist(), strict=True))
        assert key == sorted(key)
    np.testing.assert_array_equal(index.columns["record_pose_time_us"], index.columns["record_time_us"])


def test_the_index_is_built_once_and_mapped_after_that(nuscenes, kept, monkeypatch):
    first = open_index(nuscenes / VERSION)
    monkeypatch.setattr(nuscenes_cache, "build_index", no_build)
    again = open_index(nuscenes / VERSION)
    same(first, again)
    assert all(isinstance(column, np.memmap) for column in again.columns.values())
    assert len(list(kept.iterdir())) == 1
    assert len(open_log(nuscenes)) == SAMPLES
    # a log has taken what it needs: the index may go
    log = open_log(nuscenes)
    for path in sorted(kept.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert len(log[1].labels) == 3


def test_changed_tables_are_indexed_again_and_the_old_index_goes(nuscenes, kept):
    assert len(open_log(nuscenes)[0].labels) == 2
    before = list(kept.iterdir())
    change(nuscenes, "sample_annotation", lambda rows: rows.pop(0))
    assert len(open_log(nuscenes)[0].labels) == 1
    assert len(list(kept.iterdir())) == 1
    assert list(kept.iterdir()) != before


def test_an_index_left_half_done_is_removed_after_a_day(nuscenes, kept):
    open_log(nuscenes)
    place = next(kept.iterdir()).name.partition("-")[0]
    for name, age_s in (("old", 2 * 24 * 3600), ("new", 60)):
        folder = kept / f"{place}-building-{name}"
        folder.mkdir()
        os.utime(folder, (time.time() - age_s,) * 2)
    change(nuscenes, "sample_annotation", lambda rows: rows.pop(0))
    open_log(nuscenes)
    assert sorted(path.name.partition("-")[2] for path in kept.iterdir() if "building" in path.name) == ["building-new"]


def test_small_tables_are_not_kept(nuscenes, monkeypatch, tmp_path):
    monkeypatch.setenv("PERCEPTUM_CACHE", str(tmp_path / "cache"))
    open_log(nuscenes)
    assert not (tmp_path / "cache").exists()


def test_nothing_is_kept_where_that_is_asked_for(nuscenes, kept):
    assert len(open_log(nuscenes, cache=False)) == SAMPLES
    assert not kept.exists()


def test_the_cache_is_where_the_option_or_the_environment_says(nuscenes, kept, tmp_path, monkeypatch):
    open_log(nuscenes, cache=tmp_path / "mine")
    assert len(list((tmp_path / "mine" / "nuscenes").iterdir())) == 1
    assert not kept.exists()
    assert cache_folder() == kept.parent
    monkeypatch.delenv("PERCEPTUM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "perceptum"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "perceptum"


def test_where_the_index_cannot_be_kept_that_is_a_warning(nuscenes, kept, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        log = open_log(nuscenes, cache=tmp_path / "file")
    assert len(log[1].labels) == 3
    [told] = caplog.messages
    assert "the index of the tables cannot be kept (Not a directory), so they are read again each time; " in told
    assert told.endswith("set PERCEPTUM_CACHE to a folder with room")


def test_a_full_disk_leaves_nothing_behind(nuscenes, kept, monkeypatch, caplog):
    def full(index, folder):
        (folder / "half.npy").write_bytes(b"0" * 100)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nuscenes_cache, "save_index", full)
    assert len(open_log(nuscenes)) == SAMPLES
    assert "cannot be kept (No space left on device)" in caplog.text
    assert list(kept.iterdir()) == []


@pytest.mark.parametrize("name", ["names.json", "names.npy", "box_start.npy", "record_pose_wxyz.npy"])
@pytest.mark.parametrize("content", [b"", b"\0" * 200, b"PK\x03\x04", None, "cut"])
def test_a_broken_index_is_made_anew(nuscenes, kept, name, content, caplog):
    open_index(nuscenes / VERSION)
    path = next(kept.iterdir()) / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] if content == "cut" else content)
    same(open_index(nuscenes / VERSION), build_index(nuscenes / VERSION))
    assert "the kept index is broken (" in caplog.text
    caplog.clear()
    open_index(nuscenes / VERSION)
    assert not caplog.messages


def test_an_index_whose_columns_do_not_fit_is_made_anew(nuscenes, kept, caplog):
    open_index(nuscenes / VERSION)
    np.save(next(kept.iterdir()) / "box_xyz.npy", np.zeros((3, 3)))
    assert len(open_log(nuscenes)[1].labels) == 3
    assert "column box_xyz is float64 (3, 3), wanted <f8 (8, 3)" in caplog.text


def test_an_index_that_another_finishes_while_one_looks_is_no_trouble(nuscenes, kept, caplog):
    open_index(nuscenes / VERSION)
    [index] = kept.iterdir()
    (kept / f"{index.name.partition('-')[0]}-building-gone").symlink_to(kept / "renamed since it was listed")
    index.rename(kept / "older")
    open_index(nuscenes / VERSION)
    assert not caplog.messages


def test_many_who_index_at_once_all_find_a_whole_index(nuscenes, kept, caplog):
    found = []

    def look():
        found.append(open_index(nuscenes / VERSION))

    threads = [threading.Thread(target=look) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    for index in found[1:]:
        same(found[0], index)
    assert len(list(kept.iterdir())) == 1
    assert not caplog.messages
