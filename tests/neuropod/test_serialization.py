"""Tensors as bytes in Neuropod's wire format: the exact bytes, every type and shape, and bytes that are none."""

import random
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptum.features import DTYPES
from perceptum.neuropod import NeuropodError, neuropod_native
from perceptum.neuropod.neuropod_native import TensorType
from perceptum.neuropod.serialization import deserialize, deserialize_dict, serialize

HEADER = b"\x16" + bytes(7) + b"serialization::archive" + b"\x11\x00" + b"\x04\x08\x04\x08" + b"\x01\x00\x00\x00"
TENSOR = b"\x0e" + bytes(7) + b"neuropodtensor"
SHAPES = [(), (0,), (1,), (3,), (2, 3), (2, 3, 4), (0, 5)]


def made(dtype, shape):
    values = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    return values.astype(np.str_) if dtype == "string" else values.astype(dtype)


def test_the_header_is_40_bytes_and_the_version_follows():
    data = serialize(np.zeros(1, np.float32))
    assert len(HEADER) == 40
    assert data.startswith(HEADER + struct.pack("<i", 1))


def test_numbers_are_laid_out_as_boost_lays_them_out():
    assert serialize(np.array([[1, 2, 3]], np.int16)) == b"".join(
        [
            HEADER,
            struct.pack("<i", 1),
            TENSOR,
            struct.pack("<i", 4),
            struct.pack("<Qqq", 2, 1, 3),
            struct.pack("<hhh", 1, 2, 3),
        ]
    )


def test_strings_and_dicts_tell_the_class_of_string_lists_once():
    first = [TENSOR, struct.pack("<i", 2), struct.pack("<Qq", 1, 2)]
    first += [bytes(5), struct.pack("<QI", 2, 0), struct.pack("<Q", 1), b"a", struct.pack("<Q", 2), "é".encode()]
    second = [TENSOR, struct.pack("<i", 2), struct.pack("<Qq", 1, 0), struct.pack("<QI", 0, 0)]
    expected = [
        HEADER,
        struct.pack("<ii", 1, 2),
        struct.pack("<Q", 1),
        b"x",
        *first,
        struct.pack("<Q", 1),
        b"y",
        *second,
    ]
    assert serialize({"x": np.array(["a", "é"]), "y": np.array([], np.str_)}) == b"".join(expected)


# what the compiled library, version 0.3.0rc7, wrote of two small values; 0.2.0 writes the same
FROM_UBER_NUMBERS = (
    "160000000000000073657269616c697a6174696f6e3a3a6172636869766511000408040801000000010000000e000000000000006e6575726f"
    "706f6474656e736f7204000000020000000000000001000000000000000300000000000000010002000300"
)
FROM_UBER_STRINGS = (
    "160000000000000073657269616c697a6174696f6e3a3a61726368697665110004080408010000000100000002000000010000000000000078"
    "0e000000000000006e6575726f706f6474656e736f720200000001000000000000000100000000000000000000000001000000000000000000"
    "00000100000000000000710100000000000000790e000000000000006e6575726f706f6474656e736f72020000000100000000000000020000"
    "00000000000200000000000000000000000100000000000000610200000000000000c3a9"
)


def test_what_ubers_own_library_wrote_is_what_is_written_here():
    numbers = np.array([[1, 2, 3]], np.int16)
    strings = {"x": np.array(["q"]), "y": np.array(["a", "é"])}
    assert serialize(numbers).hex() == FROM_UBER_NUMBERS
    assert serialize(strings).hex() == FROM_UBER_STRINGS
    np.testing.assert_array_equal(deserialize(bytes.fromhex(FROM_UBER_NUMBERS)), numbers)
    back = deserialize_dict(bytes.fromhex(FROM_UBER_STRINGS))
    assert {name: array.tolist() for name, array in back.items()} == {"x": ["q"], "y": ["a", "é"]}


def test_a_types_code_is_its_place_among_the_dtypes():
    assert [(kind.name, kind.value) for kind in TensorType] == [(name, code) for code, name in enumerate(DTYPES)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_type_and_shape_comes_back(dtype, shape):
    array = made(dtype, shape)
    back = deserialize(serialize(array))
    assert back.shape == array.shape
    assert back.dtype == array.dtype or dtype == "string"
    assert back.tolist() == array.tolist()
    assert back.flags.writeable


def test_all_of_them_come_back_as_one_dict():
    arrays = {f"{dtype} {shape}": made(dtype, shape) for dtype in DTYPES for shape in SHAPES}
    back = deserialize_dict(serialize(arrays))
    assert list(back) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
    assert deserialize_dict(serialize({})) == {}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=9).filter(lambda t: not t.endswith("\0"))))
def test_any_text_comes_back(texts):
    assert deserialize(serialize(np.array(texts, np.str_))).tolist() == texts


def test_a_strided_array_and_a_tensor_of_torch_are_serialized_as_their_values():
    torch = pytest.importorskip("torch")
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert serialize(array.T) == serialize(np.ascontiguousarray(array.T))
    assert serialize(torch.from_numpy(array)) == serialize(array)


def test_the_bindings_names_give_strings_as_bytes_of_their_old_kind():
    array = np.array([["a", "é"], ["", "ccc"]])
    back = neuropod_native.deserialize(neuropod_native.serialize(array))
    assert back.dtype.kind == "S"
    assert [item.decode() for item in back.ravel()] == ["a", "é", "", "ccc"]
    assert neuropod_native.deserialize_dict(neuropod_native.serialize({"x": array}))["x"].shape == (2, 2)


def test_text_is_no_bytes():
    with pytest.raises(TypeError):
        neuropod_native.deserialize("bogus")


@pytest.mark.parametrize("array", [np.zeros(1, bool), np.zeros(1, np.float16), np.zeros(1, ">f4"), np.array([None])])
def test_a_type_that_no_spec_has_is_refused(array):
    with pytest.raises(NeuropodError, match="cannot be serialized, only float32, float64, string"):
        serialize(array)


def changed(data, place, new):
    return data[:place] + new + data[place + len(new) :]


RANK = 40 + 4 + 22 + 4
BASE = serialize(np.zeros((2, 2), np.float32))
WORDS = serialize(np.array(["ab", "cd"]))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "40 bytes should follow byte 0, there are 0; it is cut short"),
        (b"\0" * 100, "do not begin as a binary archive"),
        (changed(BASE, 40, b"\x02"), "they are of version 2, this is 1"),
        (changed(BASE, 52, b"X"), "a tensor begins with 'neuropodtensor', here is b'Xeuropodtensor'"),
        (changed(BASE, 66, struct.pack("<i", 11)), "there is no type 11; the types are 0 to 10"),
        (changed(BASE, 66, struct.pack("<i", -1)), "there is no type -1"),
        (changed(WORDS, RANK + 16, b"\x01"), "the strings before byte 91 are of a class that is not known"),
        (changed(BASE, RANK, struct.pack("<Q", 2**63)), "a tensor has at most 32 dimensions"),
        (changed(BASE, RANK + 8, struct.pack("<q", -1)), "has a negative size"),
        (changed(BASE, RANK + 8, struct.pack("<q", 2**40)), "bytes should follow byte"),
        (changed(BASE, RANK + 8, struct.pack("<qq", 2**62, 2**62)), "bytes should follow byte"),
        (changed(WORDS, RANK + 16 + 5, struct.pack("<Q", 2**61)), "strings do not make the shape (2,)"),
        (changed(WORDS, RANK + 16 + 5 + 12, struct.pack("<Q", 2**61)), "bytes should follow byte"),
        (changed(WORDS, RANK + 16 + 5 + 20, b"\xff"), "not UTF-8"),
        (BASE + b"\0", "1 bytes are left over"),
        (BASE[:-1], "it is cut short"),
    ],
)
def test_bytes_that_are_no_tensor_say_what_is_wrong(data, message):
    with pytest.raises(NeuropodError) as error:
        deserialize(data)
    assert str(error.value).startswith("these bytes cannot be deserialized: ")
    assert message in str(error.value)


def test_an_empty_tensor_of_impossible_sizes_is_an_error():
    data = changed(serialize(np.zeros((0, 2), np.float32)), RANK + 8, struct.pack("<qq", 0, 2**62))
    with pytest.raises(NeuropodError):
        deserialize(data)


def test_one_long_string_among_many_empty_ones_takes_no_gigabytes():
    array = np.array([""] * 2, np.str_)
    head = serialize(array)[: RANK + 8]
    count, length = 50_000, 100_000
    data = head + struct.pack("<q", count) + bytes(5) + struct.pack("<QI", count, 0)
    data += struct.pack("<Q", length) + b"a" * length + struct.pack("<Q", 0) * (count - 1)
    with pytest.raises(NeuropodError, match="would take 20000000000 bytes in an array; send them apart"):
        deserialize(data)


@pytest.mark.parametrize("read", [deserialize, deserialize_dict])
@pytest.mark.parametrize("seed", range(4))
def test_damaged_bytes_are_an_error_or_a_tensor_and_take_little_memory(read, seed):
    good = [BASE, WORDS, serialize({"x": np.arange(5), "words": np.array(["a", "bb"])})]
    rng = random.Random(seed)
    tracemalloc.start()
    for _ in range(1500):
        data = bytearray(rng.choice(good))
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(40, len(data))] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        try:
            read(bytes(data))
        except NeuropodError as error:
            assert "\n" not in str(error)  # noqa: PT017
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6
