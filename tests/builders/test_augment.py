"""What a draw does to a sample, it does to everything that speaks of places."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import perceptum as pc
from perceptum.builders import Augment, Draw, InputBuilder
from perceptum.features import SpecError

EVERYTHING = Augment(rotate=0.8, flip_x=0.5, flip_y=0.5, scale=(0.9, 1.1), translate=0.5)


@pytest.fixture(scope="module")
def log():
    return pc.open_log("synthetic", frames=3, seed=1)


def test_without_a_draw_nothing_is_random(log) -> None:
    plain = InputBuilder(["lidar_points"]).build(log[1])
    given = InputBuilder(["lidar_points"], augment=EVERYTHING).build(log[1])
    assert np.array_equal(plain["lidar_points"], given["lidar_points"])


def test_equal_draws_make_equal_samples(log) -> None:
    builder = pickle.loads(pickle.dumps(InputBuilder(["lidar_points"], augment=EVERYTHING)))
    again = InputBuilder(["lidar_points", "lidar_voxels"], augment=EVERYTHING, threads=2)
    for index in range(4):
        one = builder.build(log[1], draw=Draw(7, 0, index))["lidar_points"]
        assert np.array_equal(one, again.build(log[1], draw=Draw(7, 0, index))["lidar_points"])
    assert not np.array_equal(one, builder.build(log[1], draw=Draw(7, 1, index))["lidar_points"])


@pytest.mark.parametrize("frame", ["ego", "lidar"])
def test_points_come_where_the_change_takes_them(log, frame: str) -> None:
    params = {"frame": frame}
    plain = InputBuilder(["lidar_points"], params=params).build(log[1])["lidar_points"]
    for change in (Augment(scale=(2.0, 2.0)), Augment(flip_x=1.0), Augment(flip_y=1.0), Augment(rotate=(0.5, 0.5))):
        moved = InputBuilder(["lidar_points"], params=params, augment=change).build(log[1], draw=Draw(0, 0, 0))
        s, turn = 2.0 if change.scale else 1.0, 0.5 if change.rotate else 0.0
        c, n = np.cos(turn), np.sin(turn)
        matrix = s * np.array([[c, -n, 0], [n, c, 0], [0, 0, 1]])
        matrix[:, 0] *= 1 - 2 * change.flip_x
        matrix[:, 1] *= 1 - 2 * change.flip_y
        assert np.allclose(moved["lidar_points"][:, :3], plain[:, :3].astype(np.float64) @ matrix.T, atol=1e-4)


def test_a_fingerprint_does_not_know_of_augmentation() -> None:
    assert InputBuilder(["lidar_points"], augment=EVERYTHING).fingerprint == InputBuilder(["lidar_points"]).fingerprint


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rotate": "a"}, "rotate must be a finite number, got 'a'"),
        ({"rotate": (1.0, 0.0)}, "rotate must go from the lower to the higher"),
        ({"flip_x": 2}, "flip_x is how likely it is, from 0 to 1, got 2"),
        ({"rotate": 45}, r"rotate is in radians, at most 2 pi either way, got 45; if these are degrees, it is 0\.7854"),
        ({"rotate": (-45, 90)}, r"got \(-45, 90\); if these are degrees, it is \(-0\.7854, 1\.571\)"),
        ({"scale": 1.0}, "scale must be above 0"),
        (
            {"scale": 1.05},
            r"above 0, got 1\.05, and a number s is \(1 - s, 1 \+ s\), here \(-0\.05, 2\.05\); say from and to, "
            r"such as \(0\.95, 1\.05\)",
        ),
        ({"scale": (-1.0, 1.0)}, r"scale must be above 0, got \(-1\.0, 1\.0\)$"),
        ({"scale": (1e-300, 1.0)}, "scale must be from 0.001 to 1000"),
        ({"scale": (1.0, 1e30)}, "scale must be from 0.001 to 1000"),
        ({"image_resize": (1.0, 1e9)}, "image_resize must be from 0.01 to 100"),
        ({"translate": (1, 2)}, "translate must be a standard deviation, or three"),
        ({"translate": 1e30}, "translate must be at most 1000000 m"),
        ({"drop_points": 1.5}, "drop_points must be a share from 0 to 1, or from the lower to the higher, got 1.5"),
        ({"drop_points": (0.5, 0.1)}, "drop_points must be a share from 0 to 1, or from the lower to the higher"),
        ({"drop_points": (0.5,)}, "drop_points must be a number, or from and to"),
        ({"shuffle_points": 1}, "shuffle_points must be True or False, got 1"),
    ],
)
def test_what_cannot_be_drawn_from_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Augment(**given)  # type: ignore[arg-type]


def test_numbers_of_numpy_are_numbers() -> None:
    assert Augment(rotate=np.float32(0.5), flip_x=np.int64(1)) == Augment(rotate=0.5, flip_x=1.0)


@pytest.mark.parametrize("draw", [5, (0, 0, 1), "0,0,1"])
@pytest.mark.parametrize("augment", [None, EVERYTHING])
def test_what_is_not_a_draw_is_refused_by_name(log, draw, augment) -> None:
    builder = InputBuilder(["lidar_points"], augment=augment)
    with pytest.raises(TypeError, match=r"build wants a Draw, or None, got .*; Draw\(seed, epoch, index\) makes one"):
        builder.build(log[0], draw=draw)
    with pytest.raises(TypeError, match="build_batch wants a Draw for each frame, or None, got"):
        builder.build_batch([log[0]], draws=[draw])


def test_one_draw_for_a_batch_is_refused(log) -> None:
    with pytest.raises(TypeError, match="build_batch wants draws, one for each frame, got one Draw"):
        InputBuilder(["lidar_points"]).build_batch([log[0]], draws=Draw(0, 0, 0))


def test_explain_says_what_may_happen(log) -> None:
    builder = InputBuilder(["lidar_points"], augment=Augment(rotate=0.5, flip_y=0.5, drop_points=0.25))
    said = "rotate (-0.5, 0.5), flip_y 0.5, drop_points (0.25, 0.25)"
    assert builder.explain().augmentation == said
    assert f"augmentation, of samples with a draw: {said}" in str(builder.explain()).splitlines()
    built = builder.build(log[1], draw=Draw(0, 0, 0))
    count = built.dropped["points dropped by augmentation"]
    assert f" {count} points dropped by augmentation\n" in str(builder.explain())
    assert InputBuilder(["lidar_points"]).explain().augmentation == ""
    assert "augmentation" not in str(InputBuilder(["lidar_points"]).explain())


def test_what_a_limit_cuts_of_shuffled_points_is_not_on_one_side(log, caplog) -> None:
    params = {"lidar_voxels": {"max_voxels": 100}}
    InputBuilder(["lidar_voxels"], params=params, augment=Augment(shuffle_points=True)).build(
        log[1], draw=Draw(0, 0, 0)
    )
    assert "points are shuffled, so they are missing here and there (reported once" in caplog.text
