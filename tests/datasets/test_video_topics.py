"""Foxglove's CompressedVideo in recordings: as protobuf, as JSON, as ROS 2 and as ROS 1."""

import pickle
from contextlib import suppress

import numpy as np
import pytest
from rosbags.typesys import get_types_from_msg

from perceptum.convert import convert
from perceptum.datasets import open_log
from perceptum.datasets.ros.foxglove import decode_foxglove
from perceptum.datasets.ros.recording import Topic
from perceptum.inputs import BrokenRecord, MissingRecord, decode_image

from .made_recording import CONTAINERS, FIRST_NS, STEP_NS, write_as
from .made_video import COUNT, GROUP, HEIGHT, WIDTH, D, K, Messages, decoded, encoded, write_recording

WITHOUT_ID = "builtin_interfaces/Time timestamp\nstring frame_id\nuint8[] data\nstring format\n"
CAMERA, LENS = "/front/video", "/front/calibration"
ENCODINGS = ("protobuf", "json", "cdr", "ros1")


def drive(messages, packets=None, format="h264", lens=LENS, **calibration):
    """A camera that films in a recording of one encoding; 70 ms from a picture's stamp to its message."""
    rows = [(lens, FIRST_NS, "CameraCalibration", messages.calibration(FIRST_NS, **calibration))]
    if not messages.is_ros:
        mount = messages.transform(FIRST_NS, "base_link", "camera", (1.5, 0.0, 1.4), (-0.5, 0.5, -0.5, 0.5))
        rows.append(("/tf", FIRST_NS, "FrameTransforms", mount))
        for i in range(COUNT + 4):
            time_ns = FIRST_NS + i * STEP_NS
            moved = messages.transform(time_ns, "odom", "base_link", (0.5 * i, 0.0, 0.0))
            rows.append(("/tf", time_ns, "FrameTransforms", moved))
    for i, data in enumerate(packets or encoded("h264")):
        time_ns = FIRST_NS + i * STEP_NS
        rows.append((CAMERA, time_ns + 70_000_000, "CompressedVideo", messages.video(time_ns, data, format)))
    return sorted(rows, key=lambda row: row[1])


@pytest.fixture(params=ENCODINGS)
def recording(request, tmp_path):
    messages = Messages(request.param)
    return write_recording(tmp_path / "drive.mcap", messages, drive(messages))


def test_a_topic_of_video_is_a_camera_whatever_its_encoding(recording):
    log = open_log(recording)
    assert list(log.source.cameras) == [CAMERA]
    assert log.source.times_ns.tolist() == [FIRST_NS + i * STEP_NS for i in range(COUNT)]
    for index in (0, 1, 2, 11, 5):
        picture = log[index].cameras[CAMERA]
        assert picture.time_ns == FIRST_NS + index * STEP_NS
        np.testing.assert_array_equal(picture.intrinsics, np.reshape(K, (3, 3)))
        np.testing.assert_array_equal(picture.distortion, D)
        assert picture.distortion_model == "brown"
        np.testing.assert_array_equal(picture.decode(), decoded("h264")[index])


def test_what_is_packed_of_a_picture_is_lossless(recording):
    picture = open_log(recording)[9].cameras[CAMERA]
    assert picture.encoded.startswith(b"\x89PNG")
    np.testing.assert_array_equal(decode_image(picture.encoded), decoded("h264")[9])
    out = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    assert picture.decode(out) is out
    np.testing.assert_array_equal(out, decoded("h264")[9])


def test_a_recording_of_video_converts_to_the_store(recording, tmp_path):
    convert(str(recording), str(tmp_path / "store"))
    stored = open_log(tmp_path / "store")
    for index in range(COUNT):
        np.testing.assert_array_equal(stored[index].cameras[CAMERA].decode(), decoded("h264")[index])


def test_a_log_of_video_pickles(recording):
    log = open_log(recording)
    log[3].cameras[CAMERA].decode()
    again = pickle.loads(pickle.dumps(log))
    np.testing.assert_array_equal(again[4].cameras[CAMERA].decode(), decoded("h264")[4])
    picture = pickle.loads(pickle.dumps(log[5].cameras[CAMERA]))
    np.testing.assert_array_equal(picture.decode(), decoded("h264")[5])


@pytest.mark.parametrize(("codec", "format"), [("h264", "h264"), ("hevc", "h265"), ("hevc", "hevc"), ("av1", "av1")])
def test_every_codec_is_named_as_foxglove_names_it(tmp_path, codec, format):
    messages = Messages("protobuf")
    log = open_log(write_recording(tmp_path / "a.mcap", messages, drive(messages, encoded(codec), format)))
    for index in (0, 9, 10, 3):
        np.testing.assert_array_equal(log[index].cameras[CAMERA].decode(), decoded(codec)[index])


def test_transforms_of_foxglove_say_where_a_camera_is(tmp_path):
    for encoding in ("protobuf", "json"):
        messages = Messages(encoding)
        log = open_log(write_recording(tmp_path / f"{encoding}.mcap", messages, drive(messages)))
        mounted = log[4].cameras[CAMERA].ego_from_camera
        np.testing.assert_allclose(mounted[:3, 3], (1.5, 0, 1.4))
        np.testing.assert_allclose(mounted[:3, :3] @ (0, 0, 1), (1, 0, 0), atol=1e-12)
        np.testing.assert_allclose(log[4].world_from_ego[:3, 3], (2.0, 0, 0), atol=1e-9)


@pytest.mark.parametrize("name", ["/front/camera_info", "/front/camera_calibration", "/calibration"])
def test_the_lens_is_found_beside_a_video_or_one_level_up(tmp_path, name):
    messages = Messages("protobuf")
    log = open_log(write_recording(tmp_path / "a.mcap", messages, drive(messages, lens=name)))
    np.testing.assert_array_equal(log[0].cameras[CAMERA].intrinsics, np.reshape(K, (3, 3)))


def test_kannala_brandt_is_the_fisheye(tmp_path):
    messages = Messages("json")
    rows = drive(messages, model="kannala_brandt", d=[0.1, 0.01, 0.001, 0.0001])
    picture = open_log(write_recording(tmp_path / "a.mcap", messages, rows))[0].cameras[CAMERA]
    assert picture.distortion_model == "fisheye"


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_ros_recording_takes_video_beside_its_own_messages(tmp_path, container):
    """With CameraInfo and tf, and Foxglove's message, of which the definition knows no id yet."""

    def rows_of(maker):
        maker.store.register(get_types_from_msg(WITHOUT_ID, "foxglove_msgs/msg/CompressedVideo"))
        mount = maker.tf(maker.transform(FIRST_NS, "base_link", "camera", (1, 0, 0)))
        rows = [("/tf_static", FIRST_NS, mount), ("/front/camera_info", FIRST_NS, maker.camera_info(FIRST_NS))]
        for i, data in enumerate(encoded("h264")):
            time_ns = FIRST_NS + i * STEP_NS
            message = Messages("ros1" if maker.ros == 1 else "cdr").video(time_ns, data)
            rows.append((CAMERA, time_ns, ("foxglove_msgs/msg/CompressedVideo", message)))
        return rows

    log = open_log(write_as(container, tmp_path, rows_of))
    assert log.source.cameras[CAMERA].tolist() == [FIRST_NS + i * STEP_NS for i in range(COUNT)]
    for index in (7, 8, 2):
        np.testing.assert_array_equal(log[index].cameras[CAMERA].decode(), decoded("h264")[index])


@pytest.mark.parametrize("encoding", ["cdr", "ros1"])
def test_a_type_that_begins_with_other_fields_is_refused(tmp_path, encoding):
    messages = Messages(encoding)
    changed = {"CompressedVideo": "string format\nuint8[] data\n"}
    path = write_recording(tmp_path / "a.mcap", messages, drive(messages), definitions=changed)
    with pytest.raises(BrokenRecord) as caught:
        open_log(path, clock="log")[2].cameras[CAMERA].decode()
    assert str(caught.value).endswith(
        "the recording defines foxglove_msgs/msg/CompressedVideo with foxglove_msgs/msg/CompressedVideo as "
        "(format string, data uint8[]), wanted (timestamp builtin_interfaces/msg/Time, frame_id string, data uint8[], "
        "format string)"
    )


def test_pictures_before_the_first_key_frame_are_missing_by_name(tmp_path):
    messages = Messages("protobuf")
    path = write_recording(tmp_path / "a.mcap", messages, drive(messages, encoded("h264")[3:]))
    with pytest.raises(MissingRecord) as caught:
        open_log(path)[2].cameras[CAMERA].decode()
    assert str(caught.value) == (
        f"{path}: {CAMERA} at {FIRST_NS + 2 * STEP_NS} ns: no key frame up to this picture, so that there is nothing "
        "to decode it from; the video starts later"
    )


def test_a_format_that_is_not_read_is_named(tmp_path):
    messages = Messages("json")
    path = write_recording(tmp_path / "a.mcap", messages, drive(messages, format="vp9"))
    with pytest.raises(BrokenRecord) as caught:
        open_log(path)[2].cameras[CAMERA].decode()
    assert str(caught.value) == (
        f"{path}: {CAMERA} at {FIRST_NS + 2 * STEP_NS} ns: format 'vp9' is not read, wanted h264, h265 or av1"
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_message_that_is_cut_short_is_named_and_spoils_no_other(tmp_path, encoding):
    messages = Messages(encoding)
    rows = [list(row) for row in drive(messages)]
    videos = [row for row in rows if row[0] == CAMERA]
    videos[GROUP + 2][3] = videos[GROUP + 2][3][:40]
    path = write_recording(tmp_path / "a.mcap", messages, rows)
    log = open_log(path, clock="log")
    with pytest.raises(BrokenRecord, match=r"40 bytes are not a complete foxglove"):
        log[GROUP + 2].cameras[CAMERA].decode()
    with pytest.raises(BrokenRecord, match="is made from pictures before it"):
        log[GROUP + 4].cameras[CAMERA].decode()
    for index in (GROUP + 1, 2 * GROUP):
        np.testing.assert_array_equal(log[index].cameras[CAMERA].decode(), decoded("h264")[index])


def test_any_bytes_for_a_message_are_a_message_or_an_error_of_ours():
    rng = np.random.default_rng(0)
    for encoding in ENCODINGS:
        messages = Messages(encoding)
        for kind in ("CompressedVideo", "CameraCalibration", "FrameTransforms"):
            if kind == "FrameTransforms" and messages.is_ros:
                continue
            whole = {
                "CompressedVideo": lambda m=messages: m.video(FIRST_NS, b"\0\0\1\x67" * 9),
                "CameraCalibration": lambda m=messages: m.calibration(FIRST_NS),
                "FrameTransforms": lambda m=messages: m.transform(FIRST_NS, "a", "b", (1.0, 2.0, 3.0)),
            }[kind]()
            topic = Topic("/t", messages.name(kind).replace("msgs/C", "msgs/msg/C"), encoding, 1)
            decode_foxglove(topic, whole, "here")
            for _ in range(150):
                data = bytearray(whole[: rng.integers(0, len(whole) + 1)])
                for _ in range(rng.integers(0, 4) if data else 0):
                    data[rng.integers(0, len(data))] = rng.integers(0, 256)
                with suppress(BrokenRecord):
                    decode_foxglove(topic, bytes(data), "here")


def test_a_part_of_a_picture_and_its_size(recording):
    picture, plain = open_log(recording)[6].cameras[CAMERA], decoded("h264")[6]
    assert picture.size == picture.picture_size() == (HEIGHT, WIDTH)
    np.testing.assert_array_equal(picture.decode(rows=(10, 30)), plain[10:30])
    assert picture.decode(reduce=2).shape == (HEIGHT // 2, WIDTH // 2, 3)


def test_who_writes_into_a_picture_changes_no_other(recording):
    picture = open_log(recording)[6].cameras[CAMERA]
    picture.decode()[:] = 0
    np.testing.assert_array_equal(picture.decode(), decoded("h264")[6])
