"""Pictures of a video by their number: in any order, from any thread, with either decoder, of damaged videos too."""

import importlib.util
import multiprocessing
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest

from perceptum.datasets.reading.video import decoder as decoders
from perceptum.datasets.reading.video.packets import Packet, VideoIndex
from perceptum.datasets.reading.video.stream import VideoStream
from perceptum.inputs import BrokenRecord, LogError, MissingRecord

from .made_video import CODECS, COUNT, GROUP, HEIGHT, WIDTH, Listed, decoded, encoded, scene


@pytest.fixture(params=["pyav", "tensorcodec"])
def library(request, monkeypatch):
    """The only decoder that is installed."""
    module = {"pyav": "av", "tensorcodec": "tensorcodec"}[request.param]
    pytest.importorskip(module)
    monkeypatch.setattr(decoders, "find_spec", lambda name: name if name == module else None)
    return request.param


def stream_of(codec, changes=None):
    """A stream of the made video, with some of its packets changed."""
    packets = list(encoded(codec))
    for index, data in (changes or {}).items():
        packets[index] = data
    return VideoStream(Listed(codec, packets))


def outcome(stream, index):
    try:
        return stream.picture(index).tobytes()
    except LogError as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("codec", CODECS)
def test_key_frames_are_found_without_decoding(codec):
    index = VideoIndex(Listed(codec, encoded(codec)))
    assert [at for at in range(COUNT) if index.is_key(at)] == list(range(0, COUNT, GROUP))
    assert [index.newest_key(0, at) for at in (0, GROUP - 1, GROUP, COUNT - 1)] == [0, 0, GROUP, COUNT - GROUP]
    assert index.newest_key(1, GROUP - 1) is None
    # what is cut short or no video at all is not a key frame, whatever is in it
    start = encoded(codec)[0]
    for data in (*(start[:n] for n in range(8)), b"\0\0\1", b"\xff" * 40, b"hello" * 9):
        assert not Packet(codec, data).is_key


@pytest.mark.parametrize("codec", CODECS)
def test_any_order_gives_what_a_plain_decode_gives(codec, library):
    stream, plain = stream_of(codec), decoded(codec)
    shuffled = np.random.default_rng(0).permutation(COUNT).tolist()
    for order in (range(COUNT), [5, 5, 4, 5], range(0, COUNT, 3), reversed(range(COUNT)), shuffled):
        for index in order:
            np.testing.assert_array_equal(stream.picture(index), plain[index])


@pytest.mark.parametrize("codec", CODECS)
def test_pictures_are_rgb(codec, library):
    stream = stream_of(codec)
    for index in (0, 5, COUNT - 1):
        picture = stream.picture(index)
        assert (picture.dtype, picture.shape) == (np.uint8, scene(index).shape)
        assert picture.flags.c_contiguous
        assert picture.flags.writeable
        # the square of this picture, where the neighbours have none of their own yet
        assert np.abs(picture[12:20, 2 * index + 4 : 2 * index + 12].mean((0, 1)) - (250, 20, 10)).max() < 25


def test_in_order_every_packet_is_decoded_once(library, monkeypatch):
    stream, packets = stream_of("h264"), []
    if library == "pyav":
        from perceptum.datasets.reading.video import with_pyav

        real = with_pyav._packet
        monkeypatch.setattr(with_pyav, "_packet", lambda data, at: packets.append(at) or real(data, at))
        for index in range(COUNT):
            stream.picture(index)
        assert packets == list(range(COUNT))
        return
    from perceptum.datasets.reading.video import with_tensorcodec

    real_file = with_tensorcodec.as_matroska
    monkeypatch.setattr(
        with_tensorcodec, "as_matroska", lambda found: packets.append(len(found)) or real_file(found), raising=True
    )
    for index in range(COUNT):
        stream.picture(index)
    # the first picture alone, whose size is not known yet, and then a run
    assert packets == [1, COUNT]


def test_at_random_decoding_begins_at_the_key_frame_before(monkeypatch):
    from perceptum.datasets.reading.video import with_pyav

    stream, packets, real = stream_of("h264"), [], with_pyav._packet
    monkeypatch.setattr(with_pyav, "_packet", lambda data, at: packets.append(at) or real(data, at))
    stream.picture(GROUP + 3)
    assert packets == [GROUP, GROUP + 1, GROUP + 2, GROUP + 3]
    packets.clear()
    # what was passed by is there still, for threads that build neighbours
    stream.picture(GROUP + 1)
    stream.picture(GROUP + 3)
    assert packets == []
    # on from where it stands, and over a key frame without what is before it
    stream.picture(GROUP + 5)
    stream.picture(2 * GROUP + 1)
    assert packets == [GROUP + 4, GROUP + 5, 2 * GROUP, 2 * GROUP + 1]


@pytest.mark.parametrize("codec", CODECS)
def test_pictures_before_the_first_key_frame_are_missing(codec, library):
    stream = VideoStream(Listed(codec, encoded(codec)[3:]))
    with pytest.raises(MissingRecord) as caught:
        stream.picture(2)
    assert str(caught.value) == (
        "video at 2: no key frame up to this picture, so that there is nothing to decode it from; "
        "the video starts later"
    )
    first = GROUP - 3
    np.testing.assert_array_equal(stream.picture(first + 1), decoded(codec)[GROUP + 1])


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("how", ["other bytes", "empty", "cut short"])
def test_damage_spoils_pictures_up_to_the_next_key_frame_and_no_other(codec, library, how, in_order):
    at, data = GROUP + 3, encoded(codec)[GROUP + 3]
    changed = {"other bytes": b"\xa5" * len(data), "empty": b"", "cut short": data[: len(data) // 2]}[how]
    if how == "cut short" and library == "tensorcodec" and codec != "av1":
        pytest.skip("tensorcodec does not report what it could only patch up")
    stream, plain = stream_of(codec, {at: changed}), decoded(codec)
    order = range(COUNT) if in_order else np.random.default_rng(1).permutation(COUNT).tolist()
    found = {index: outcome(stream, index) for index in order}
    for index in range(COUNT):
        if at <= index < 2 * GROUP:
            assert found[index].startswith(f"BrokenRecord: video at {index}: ")
        else:
            assert found[index] == plain[index].tobytes()
    if in_order:
        assert found[at + 1] == (
            f"BrokenRecord: video at {at + 1}: is made from pictures before it, of which one cannot be decoded: "
            f"video at {at}"
        )


def test_a_packet_that_cannot_be_read_spoils_what_is_made_from_it(library):
    class Unreadable(Listed):
        def packet(self, index):
            if index == 2:
                raise BrokenRecord("the chunk at byte 7: cannot be unpacked")
            return super().packet(index)

    stream = VideoStream(Unreadable("h264", encoded("h264")))
    assert outcome(stream, 2) == "BrokenRecord: the chunk at byte 7: cannot be unpacked"
    assert outcome(stream, 4).startswith("BrokenRecord: video at 4: is made from pictures before it, of which one")
    assert outcome(stream, 1) == decoded("h264")[1].tobytes()
    assert outcome(stream, GROUP) == decoded("h264")[GROUP].tobytes()


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_the_size_may_change_at_a_key_frame(codec, library):
    larger = encoded(codec, height=96, width=128)
    stream = VideoStream(Listed(codec, [*encoded(codec)[:GROUP], *larger[:GROUP]]))
    found = [stream.picture(index) for index in range(2 * GROUP)]
    assert [picture.shape[:2] for picture in found] == [(66, 98)] * GROUP + [(96, 128)] * GROUP
    np.testing.assert_array_equal(found[3], decoded(codec)[3])
    assert np.abs(found[GROUP + 2].astype(int) - scene(2, 96, 128)).mean() < 12


def test_the_codec_may_change_at_a_key_frame(library):
    class Mixed(Listed):
        def packet(self, index):
            codec = "h264" if index < GROUP else "hevc"
            return Packet(codec, encoded(codec)[index])

    stream = VideoStream(Mixed("h264", [b""] * COUNT))
    for index in range(COUNT):
        plain = decoded("h264" if index < GROUP else "hevc")
        np.testing.assert_array_equal(stream.picture(index), plain[index])


def test_pictures_in_another_order_than_their_packets_are_refused_or_right():
    pytest.importorskip("av")
    stream = VideoStream(Listed("h264", encoded("h264", b_frames=2)))
    found = [outcome(stream, index) for index in range(GROUP)]
    assert any("gives no picture, or a later one" in str(text) for text in found)


class Late:
    """A decoder that waits for pictures to put in order: each comes three packets later."""

    def __init__(self, context):
        self.context, self.waiting = context, []
        self.width = self.height = 0

    def decode(self, packet):
        self.waiting += self.context.decode(packet)
        ready = len(self.waiting) if packet is None else max(len(self.waiting) - 3, 0)
        out, self.waiting = self.waiting[:ready], self.waiting[ready:]
        return out


@pytest.mark.parametrize("kept_bytes", [0, 1 << 24])
def test_pictures_that_come_later_than_their_packets_are_right(monkeypatch, kept_bytes):
    from perceptum.datasets.reading.video import with_pyav

    real = with_pyav._context
    monkeypatch.setattr(with_pyav, "_context", lambda codec: Late(real(codec)))
    monkeypatch.setattr(with_pyav, "_KEPT_BYTES", kept_bytes)
    at = GROUP + 3
    stream, plain = stream_of("h264", {at: b"\xa5" * 50}), decoded("h264")
    for index in [*range(COUNT), *np.random.default_rng(0).permutation(COUNT).tolist()]:
        if at <= index < 2 * GROUP:
            assert outcome(stream, index).startswith(f"BrokenRecord: video at {index}: ")
        else:
            assert outcome(stream, index) == plain[index].tobytes()


def test_an_index_outside_is_an_error(library):
    for index in (-1, COUNT):
        with pytest.raises(LogError, match=f"the video has {COUNT} pictures, {index} was asked for"):
            stream_of("h264").picture(index)


def test_any_number_of_threads_may_ask(library):
    stream, plain = stream_of("h264"), decoded("h264")
    order = np.random.default_rng(2).integers(0, COUNT, 96).tolist()
    with ThreadPoolExecutor(6) as pool:
        for index, picture in zip(order, pool.map(stream.picture, order), strict=True):
            np.testing.assert_array_equal(picture, plain[index])


def test_what_is_given_is_the_callers_own(library):
    stream = stream_of("h264")
    stream.picture(4)[:] = 0
    np.testing.assert_array_equal(stream.picture(4), decoded("h264")[4])


def test_a_pickled_stream_begins_anew(library):
    stream = stream_of("h264")
    stream.picture(5)
    again = pickle.loads(pickle.dumps(stream))
    np.testing.assert_array_equal(again.picture(6), decoded("h264")[6])
    np.testing.assert_array_equal(stream.picture(6), decoded("h264")[6])


def test_a_forked_process_has_a_decoder_of_its_own(library):
    stream, plain = stream_of("h264"), decoded("h264")
    stream.picture(3)
    # as if another thread had been decoding when it forked
    stream._lock.lock.acquire()
    context = multiprocessing.get_context("fork")
    found = context.SimpleQueue()
    child = context.Process(target=lambda: found.put([outcome(stream, index) for index in (4, 5, 1)]))
    child.start()
    pictures = found.get()
    child.join(30)
    stream._lock.lock.release()
    assert pictures == [plain[index].tobytes() for index in (4, 5, 1)]
    assert outcome(stream, 4) == plain[4].tobytes()


def test_without_a_decoder_the_error_names_both(monkeypatch):
    monkeypatch.setattr(decoders, "find_spec", lambda name: None)
    monkeypatch.setattr(decoders, "install_command", lambda extra: f"pip install 'perceptum[{extra}]'")
    with pytest.raises(LogError) as caught:
        stream_of("h264").picture(0)
    assert str(caught.value) == (
        "pictures of a video need a decoder: pip install 'perceptum[video]' (tensorcodec, LGPL), or "
        "pip install 'perceptum[pyav]' (PyAV, whose wheel has GPL encoders in it)"
    )


def test_neither_decoder_is_imported_before_a_picture_is_asked_for():
    code = (
        "import sys, perceptum.datasets.ros.log, perceptum.datasets.reading.video.stream\n"
        "print(sorted({'av', 'tensorcodec', 'tensorcodec_av'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True)
    assert done.stdout.strip() == "[]"


def test_after_a_ctrl_c_the_pictures_are_right(library):
    class Interrupted(Listed):
        left = -1

        def packet(self, index):
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
            return super().packet(index)

    plain = decoded("h264")
    # wherever it comes: packets are looked at for key frames, and then decoded
    for reads in range(1, 12):
        packets = Interrupted("h264", encoded("h264"))
        stream = VideoStream(packets)
        stream.picture(1)
        packets.left = reads
        with suppress(KeyboardInterrupt):
            stream.picture(GROUP - 1)
        for index in (GROUP - 1, 4, GROUP):
            np.testing.assert_array_equal(stream.picture(index), plain[index])


@pytest.mark.parametrize("codec", CODECS)
def test_a_picture_larger_than_any_is_refused_before_there_is_memory_for_it(codec, library, monkeypatch):
    for module in ("pyav", "tensorcodec"):
        monkeypatch.setattr(f"perceptum.datasets.reading.video.with_{module}.MOST_PIXELS", 6000)
    # libdav1d reports neither size nor bound
    said = "out of range" if (codec, library) == ("av1", "pyav") else f"{WIDTH} x {HEIGHT}, wanted at most 6000 pixels"
    with pytest.raises(BrokenRecord, match=rf"^video at 0: the {codec} packet cannot be decoded \(.*{said}\)$"):
        stream_of(codec).picture(0)


def test_a_decoder_that_cannot_be_imported_is_passed_over_and_named(monkeypatch):
    monkeypatch.setattr(decoders, "find_spec", lambda name: name)
    monkeypatch.setitem(sys.modules, "av.video.reformatter", None)
    if importlib.util.find_spec("tensorcodec") is not None:
        np.testing.assert_array_equal(stream_of("h264").picture(3), decoded("h264")[3])
    monkeypatch.setitem(sys.modules, "tensorcodec.decoders", None)
    with pytest.raises(
        LogError, match=r"PyAV is installed and cannot be imported .*; tensorcodec is installed and can"
    ):
        stream_of("h264").picture(0)
