"""Camera models: as OpenCV projects, as the formulas say, there and back, and nothing where a lens folds back."""

from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptum.inputs import BrokenRecord, CameraImage, Lens, lens_kernel, undistortion_map
from perceptum.inputs.lenses import COEFFICIENTS, lens_of

K = np.array([[1266.4, 0, 816.3], [0, 1250.0, 491.5], [0, 0, 1.0]])
SKEW = np.array([[1000.0, 3.0, 640.0], [0, 990.0, 350.0], [0, 0, 1.0]])

BROWN = {
    4: [-0.3, 0.1, 1e-3, -2e-3],
    5: [-0.3, 0.1, 1e-3, -2e-3, -0.02],
    8: [0.4, -0.1, 1e-3, -2e-3, 0.02, 0.7, 0.1, 0.01],
    12: [0.1, -0.1, 1e-3, -2e-3, 0.02, 0.2, 0.1, 0.01, 1e-3, 2e-4, -1e-3, 3e-4],
    14: [0.1, -0.1, 1e-3, -2e-3, 0.02, 0.2, 0.1, 0.01, 1e-3, 2e-4, -1e-3, 3e-4, 0.02, -0.03],
}
FISHEYE = [0.05, -0.02, 0.004, -0.001]
MEI = [1.7, -0.15, 0.4, 1e-3, -5e-4]
# px per radian and on: as NVIDIA writes them, fw_poly and bw_poly
FORWARD = [0, 480.0, -8.0, 22.0, -60.0, 14.0]
BACKWARD = [0, 2.1e-3, 1.4e-7, -8e-10, 2.5e-12, -1.8e-15]

LENSES = {
    "none": Lens(K),
    **{f"brown {count}": Lens(SKEW, "brown", np.array(numbers)) for count, numbers in BROWN.items()},
    "brown that folds": Lens(K, "brown", np.array([-0.4, 0.0, 1e-3, 1e-3])),
    "brown with a pole": Lens(K, "brown", np.array([0.1, 0, 0, 0, 0, -0.5, 0, 0])),
    "fisheye": Lens(SKEW, "fisheye", np.array(FISHEYE)),
    "fisheye all round": Lens(K, "fisheye", np.zeros(4)),
    "mei": Lens(K, "mei", np.array(MEI)),
    "mei of a wide field": Lens(K, "mei", np.array([0.8, -0.01, 0.001, 1e-4, -1e-4])),
    "mei without xi": Lens(K, "mei", np.array([0.0, -0.1, 0.01, 1e-4, -1e-4])),
    "ftheta": Lens.ftheta((640, 360), FORWARD, linear=(0.9997, 6e-5, -1e-4)),
    "ftheta backward": Lens.ftheta((640, 360), BACKWARD, backward=True, linear=(0.9997, 6e-5, -1e-4)),
}
lenses = pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES.keys())


def ahead(count=2000, seed=0, widest=0.9):
    random = np.random.default_rng(seed)
    xy = random.uniform(-widest, widest, (count, 2))
    return np.column_stack([xy, np.ones(count)]) * random.uniform(0.5, 80, (count, 1))


def around(count=2000, seed=0):
    """In all directions, behind the camera too."""
    points = np.random.default_rng(seed).normal(size=(count, 3))
    return points * np.random.default_rng(seed + 1).uniform(0.5, 80, (count, 1))


def unit(points):
    return points / np.linalg.norm(points, axis=-1, keepdims=True)


@pytest.mark.parametrize("count", BROWN)
def test_browns_model_is_opencvs(count):
    numbers, points = np.array(BROWN[count]), ahead()
    pixels, valid = Lens(K, "brown", numbers).project(points)
    wanted = cv2.projectPoints(points, np.zeros(3), np.zeros(3), K, numbers)[0][:, 0]
    assert valid.mean() > 0.8
    np.testing.assert_allclose(pixels[valid], wanted[valid], rtol=0, atol=1e-9)


def test_the_fisheye_is_opencvs():
    points = ahead(widest=4)
    pixels, valid = Lens(SKEW, "fisheye", np.array(FISHEYE)).project(points)
    # OpenCV's alpha is the skew over fx
    skew = SKEW[0, 1] / SKEW[0, 0]
    wanted = cv2.fisheye.projectPoints(points[None], np.zeros(3), np.zeros(3), SKEW, np.array(FISHEYE), None, skew)[0][
        0
    ]
    assert valid.all()
    np.testing.assert_allclose(pixels, wanted, rtol=0, atol=1e-9)


def test_a_fisheye_sees_behind_itself_up_to_where_its_model_ends():
    points, lens = around(), LENSES["fisheye"]
    pixels, valid = lens.project(points)
    x, y, z = points.T
    angle, along = np.arctan2(np.hypot(x, y), z), np.arctan2(y, x)
    k1, k2, k3, k4 = FISHEYE
    radius = angle * (1 + k1 * angle**2 + k2 * angle**4 + k3 * angle**6 + k4 * angle**8)
    wanted = np.column_stack([radius * np.cos(along), radius * np.sin(along), np.ones(len(z))]) @ SKEW[:2].T
    np.testing.assert_allclose(pixels[valid], wanted[valid], rtol=0, atol=1e-9)
    assert (z[valid] < 0).sum() > 100
    # it rises to 109 degrees: found by looking
    angles = np.linspace(0, np.pi, 100_001)
    radii = angles * (1 + k1 * angles**2 + k2 * angles**4 + k3 * angles**6 + k4 * angles**8)
    end = angles[np.argmax(np.diff(radii) < 0)]
    assert np.pi / 2 < end < np.pi
    np.testing.assert_array_equal(valid, angle < end)


def test_meis_model_is_as_its_formula_says():
    points, (xi, k1, k2, p1, p2) = around(), MEI
    pixels, valid = LENSES["mei"].project(points)
    sphere = unit(points)
    x, y = (sphere[:, :2] / (sphere[:, 2:] + xi)).T
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2 * r2
    bent_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    bent_y = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    wanted = np.column_stack([bent_x, bent_y, np.ones(len(x))]) @ K[:2].T
    np.testing.assert_allclose(pixels[valid], wanted[valid], rtol=0, atol=1e-9)
    # a point further round than where the rays from xi touch the sphere is hidden by it
    np.testing.assert_array_equal(valid, sphere[:, 2] > -1 / xi)


@pytest.mark.parametrize("xi", [0.0, 0.3, 1.0, 1.7])
def test_what_meis_sphere_hides_is_not_seen(xi):
    lens, points = Lens(K, "mei", np.array([xi, 0, 0, 0, 0])), around()
    _, valid = lens.project(points)
    np.testing.assert_array_equal(valid, unit(points)[:, 2] > (-xi if xi <= 1 else -1 / xi))


def test_ftheta_is_the_published_polynomial_in_pixels():
    points, (c, d, e) = around(), (0.9997, 6e-5, -1e-4)
    x, y, z = points.T
    angle, across = np.arctan2(np.hypot(x, y), z), unit(points[:, :2])
    pixels, valid = LENSES["ftheta"].project(points)
    radius = np.polynomial.polynomial.polyval(angle, FORWARD)
    wanted = radius[:, None] * across @ np.array([[c, d], [e, 1]]).T + (640, 360)
    np.testing.assert_allclose(pixels[valid], wanted[valid], rtol=0, atol=1e-9)
    angles = np.linspace(0, np.pi, 100_001)
    end = angles[np.argmax(np.diff(np.polynomial.polynomial.polyval(angles, FORWARD)) < 0)]
    np.testing.assert_array_equal(valid, angle < end)
    # the other way: the angle is the polynomial of the distance from the principal point
    backward = LENSES["ftheta backward"]
    pixels, valid = backward.project(points)
    assert valid.mean() > 0.2
    distance = np.linalg.norm((pixels[valid] - (640, 360)) @ np.linalg.inv([[c, d], [e, 1]]).T, axis=1)
    np.testing.assert_allclose(np.polynomial.polynomial.polyval(distance, BACKWARD), angle[valid], rtol=0, atol=1e-12)


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("constant", [-0.3, 0.3])
def test_a_fitted_polynomial_may_begin_beside_0(constant, backward):
    polynomial = [constant * 2e-3, 2e-3, 1e-7] if backward else [constant, 500.0, 3.0]
    lens = Lens.ftheta((640, 360), polynomial, backward=backward)
    points = np.column_stack([np.linspace(-0.3, 0.3, 601), np.zeros(601), np.ones(601)])
    pixels, valid = lens.project(points)
    assert valid.all()
    assert (np.diff(pixels[:, 0]) >= 0).all()
    rays, seen = lens.unproject(pixels)
    assert seen.all()
    # within a pixel of the axis
    np.testing.assert_allclose(rays, unit(points), rtol=0, atol=1.3e-3)
    np.testing.assert_allclose(rays[:298], unit(points[:298]), rtol=0, atol=1e-9)


@lenses
def test_a_ray_comes_back_from_its_pixel(lens):
    points = np.concatenate([around(), ahead(), [[0, 0, 5.0], [1e-9, 0, 1], [0, -1e-12, 1]]])
    pixels, valid = lens.project(points)
    rays, seen = lens.unproject(pixels[valid])
    assert valid.sum() > 500
    assert seen.all()
    # near where a lens folds back a pixel is a whole stretch of angles: it has to come back to the same pixel
    again, valid_again = lens.project(rays)
    assert valid_again.all()
    np.testing.assert_allclose(again, pixels[valid], rtol=1e-11, atol=1e-8)
    steep = np.linalg.norm(lens.project(unit(points[valid]) + 1e-6)[0] - pixels[valid], axis=1) > 1e-4
    assert steep.mean() > 0.9
    np.testing.assert_allclose(rays[steep], unit(points[valid])[steep], rtol=0, atol=1e-9)


@lenses
def test_a_pixel_comes_back_from_its_ray(lens):
    rows, columns = np.mgrid[-100:1000:23, -200:1700:31]
    pixels = np.column_stack([columns.ravel(), rows.ravel()]).astype(np.float64)
    rays, seen = lens.unproject(pixels)
    assert seen.mean() > 0.2
    assert np.isnan(rays[~seen]).all()
    np.testing.assert_allclose(np.linalg.norm(rays[seen], axis=1), 1, rtol=0, atol=1e-12)
    again, valid = lens.project(rays[seen])
    assert valid.all()
    np.testing.assert_allclose(again, pixels[seen], rtol=0, atol=1e-8)


coefficient = st.floats(-0.5, 0.5)


@given(
    st.lists(coefficient, min_size=8, max_size=8),
    st.tuples(st.floats(-0.005, 0.005), st.floats(-0.005, 0.005)),
    st.integers(0, 100),
)
def test_any_brown_lens_is_one_to_one_where_it_says_that_it_sees(numbers, tangential, seed):
    numbers = np.array([*numbers[:2], *tangential, *numbers[4:]])
    lens, points = Lens(K, "brown", numbers), ahead(100, seed, widest=2.0)
    pixels, valid = lens.project(points)
    wanted = cv2.projectPoints(points, np.zeros(3), np.zeros(3), K, numbers)[0][:, 0]
    np.testing.assert_allclose(pixels[valid], wanted[valid], rtol=1e-9, atol=1e-8)
    rays, seen = lens.unproject(pixels[valid])
    again, _ = lens.project(rays)
    # beside the fold the last digits decide on which side a point is
    assert seen.sum() >= valid.sum() - 2
    np.testing.assert_allclose(again[seen], pixels[valid][seen], rtol=1e-9, atol=1e-6)


def test_where_a_lens_folds_back_there_are_no_ghosts_in_the_picture():
    lens = LENSES["brown that folds"]
    # the distorted radius r (1 - 0.4 r^2) rises to r = 0.91, is 0 again at 1.58, and would then be on the other side
    points = np.column_stack([np.linspace(0, 3, 301), np.zeros(301), np.ones(301)])
    pixels, valid = lens.project(points)
    wanted = cv2.projectPoints(points, np.zeros(3), np.zeros(3), K, lens.coefficients)[0][:, 0]
    ghosts = (wanted[:, 0] >= 0) & (wanted[:, 0] < 1600) & (points[:, 0] > 1)
    assert ghosts.sum() > 50
    assert not valid[ghosts].any()
    assert np.isnan(pixels[~valid]).all()
    # the tangential part moves the fold a little from sqrt(1 / 1.2)
    assert 0.90 < points[valid, 0].max() <= np.sqrt(1 / 1.2)
    assert np.all(np.diff(pixels[valid, 0]) > 0)


@pytest.mark.parametrize(
    "lens",
    [
        Lens(K, "fisheye", np.array([-0.2, 0, 0, 0])),
        Lens(K, "mei", np.array([1.0, -0.5, 0, 0, 0])),
        Lens.ftheta((800, 450), [0, 500.0, 0, -100.0]),
        Lens.ftheta((800, 450), [0, 2e-3, 0, -2e-9], backward=True),
    ],
    ids=lambda lens: lens.model,
)
def test_wide_lenses_end_where_they_fold_back(lens):
    angles = np.linspace(0, np.pi, 2001)
    points = np.column_stack([np.sin(angles), np.zeros(2001), np.cos(angles)])
    pixels, valid = lens.project(points)
    end = np.argmin(valid)
    assert 0 < end < 2000
    assert valid[:end].all()
    assert not valid[end:].any()
    step = np.diff(pixels[:end, 0])
    assert (step > 0).all()
    # it ends because it folds: one step on, and the picture would stand still, or run where the angle is given
    slow = step[-1] / step[0]
    assert slow > 5 if lens.model == "ftheta_backward" else slow < 0.1


@lenses
def test_what_is_not_finite_or_nowhere_is_not_seen(lens):
    bad = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e308, -1e308, 1e200, 5e-324]
    points = np.stack(np.meshgrid(bad, bad, bad), axis=-1).reshape(-1, 3)
    pixels, valid = lens.project(points)
    assert not valid[~np.isfinite(points).all(axis=1)].any()
    assert np.isfinite(pixels[valid]).all()
    assert np.isnan(pixels[~valid]).all()
    assert not lens.project([[0.0, 0.0, 0.0], [0.0, 0.0, -1.0]])[1].any()
    rays, seen = lens.unproject(np.stack(np.meshgrid(bad, bad), axis=-1).reshape(-1, 2))
    np.testing.assert_allclose(np.linalg.norm(rays[seen], axis=1), 1)
    assert np.isnan(rays[~seen]).all()
    for none in (lens.project(np.zeros((0, 3))), lens.unproject(np.zeros((0, 2)))):
        assert [len(array) for array in none] == [0, 0]


@pytest.mark.parametrize("new", [None, np.array([[900.0, 0, 800], [0, 880.0, 440], [0, 0, 1]])], ids=["own", "new"])
@pytest.mark.parametrize("count", BROWN)
def test_the_map_of_browns_model_is_opencvs(count, new):
    numbers = np.array(BROWN[count])
    found = undistortion_map(Lens(K, "brown", numbers), (301, 533), new)
    wanted = cv2.initUndistortRectifyMap(K, numbers, None, K if new is None else new, (533, 301), cv2.CV_32FC1)
    for ours, theirs in zip(found, wanted, strict=True):
        assert (ours.dtype, ours.shape) == (np.float32, (301, 533))
        # the same bytes where both add up alike; a compiler may round a last digit otherwise
        np.testing.assert_allclose(ours, theirs, rtol=1.3e-7, atol=1e-5)


@pytest.mark.parametrize("focal", [1266.4, 300.0])
def test_the_map_of_a_fisheye_is_opencvs(focal):
    lens, new = Lens(K, "fisheye", np.array(FISHEYE)), np.array([[focal, 0, 800], [0, focal, 450], [0, 0, 1]])
    found = undistortion_map(lens, (900, 1600), new)
    wanted = cv2.fisheye.initUndistortRectifyMap(K, np.array(FISHEYE), np.eye(3), new, (1600, 900), cv2.CV_32FC1)
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1.3e-7, atol=1e-5)


@pytest.mark.parametrize("name", ["mei", "ftheta", "ftheta backward"])
def test_the_map_of_a_wide_lens_is_its_projection(name):
    lens, new = LENSES[name], np.array([[200.0, 0, 160], [0, 210.0, 120], [0, 0, 1]])
    map_x, map_y = undistortion_map(lens, (240, 320), new)
    rows, columns = np.mgrid[:240, :320]
    rays, _ = Lens(new).unproject(np.column_stack([columns.ravel(), rows.ravel()]))
    pixels, valid = lens.project(rays)
    assert valid.all()
    np.testing.assert_allclose(np.stack([map_x.ravel(), map_y.ravel()], axis=1), pixels, rtol=2e-7, atol=1e-4)


def test_without_distortion_the_map_moves_nothing():
    map_x, map_y = undistortion_map(Lens(K), (90, 160))
    np.testing.assert_allclose(map_x, np.tile(np.arange(160), (90, 1)), atol=1e-4)
    np.testing.assert_allclose(map_y, np.tile(np.arange(90)[:, None], (1, 160)), atol=1e-4)


def test_the_map_shows_nothing_where_the_lens_folds_back():
    lens, new = LENSES["brown that folds"], np.array([[100.0, 0, 160], [0, 100.0, 120], [0, 0, 1]])
    map_x, map_y = undistortion_map(lens, (240, 320), new)
    rows, columns = np.mgrid[:240, :320]
    rays, _ = Lens(new).unproject(np.column_stack([columns.ravel(), rows.ravel()]))
    valid = lens.project(rays)[1].reshape(240, 320)
    assert 0.1 < valid.mean() < 0.9
    assert (map_x[~valid] == -32768).all()
    assert (map_y[~valid] == -32768).all()
    assert (map_x[valid] != -32768).all()
    white = np.full((900, 1600), 255, np.uint8)
    shown = cv2.remap(white, map_x, map_y, cv2.INTER_LINEAR)
    assert not shown[~valid].any()


@pytest.mark.parametrize(
    ("lens", "said"),
    [
        ((np.eye(4),), "intrinsics are [[1.0, 0.0, 0.0, 0.0], "),
        ((np.full((3, 3), np.nan),), "wanted 3 x 3 finite numbers, the last row 0 0 1"),
        ((np.diag([1.0, 1.0, 2.0]),), "wanted 3 x 3 finite numbers, the last row 0 0 1"),
        ((np.diag([0.0, 1.0, 1.0]),), "are singular: the whole picture would be one line"),
        ((np.array([[1, 2, 0], [2, 4, 0], [0, 0, 1.0]]),), "are singular: the whole picture would be one line"),
        ((K, "double_sphere", np.zeros(6)), "distortion_model is 'double_sphere', wanted one of none, brown, fisheye"),
        ((K, "none", np.zeros(4)), "distortion of none has shape (4,), wanted 0 numbers"),
        ((K, "brown", np.zeros(6)), "distortion of brown has shape (6,), wanted 4 or 5 or 8 or 12 or 14 numbers"),
        (
            (K, "brown", np.zeros((1, 5))),
            "distortion of brown has shape (1, 5), wanted 4 or 5 or 8 or 12 or 14 numbers",
        ),
        ((K, "fisheye", [0, np.nan, 0, 0]), "distortion of fisheye is [0.0, nan, 0.0, 0.0], wanted finite numbers"),
        ((K, "fisheye", [0, 1e300, 0, 0]), "wanted finite numbers"),
        ((np.diag([1e30, 1e30, 1.0]),), "wanted 3 x 3 finite numbers, the last row 0 0 1"),
        ((np.array([[7e26, 0, 0], [0, 6e56, 1e300], [0, 0, 1]]), "brown", np.full(14, 0.01)), "wanted 3 x 3 finite"),
        ((K, "mei", [-0.5, 0, 0, 0, 0]), "distortion of mei has xi -0.5, wanted 0 to 1000"),
        ((K, "mei", [1e12, 0, 0, 0, 0]), "distortion of mei has xi 1000000000000.0, wanted 0 to 1000"),
        ((K, "brown", [*np.zeros(12), 0.1, 2.0]), "tilts the sensor by [0.1, 2.0] rad, wanted less than a quarter"),
        ((K, "ftheta", [0.0]), "distortion of ftheta has shape (1,), wanted 2 to 12 numbers"),
        ((K, "ftheta", [1.0, 1.0]), "distortion of ftheta begins with [1.0, 1.0], wanted about 0 and a number above 0"),
        ((K, "ftheta_backward", [0.0, -1.0]), "begins with [0.0, -1.0], wanted about 0 and a number above 0"),
    ],
)
def test_numbers_that_make_no_lens_are_an_error_that_says_why(lens, said):
    with pytest.raises(BrokenRecord) as error:
        Lens(*lens)
    assert said in str(error.value)


@pytest.mark.parametrize("polynomial", [[], [0.0], [0, -480.0, 1.0], [0, np.nan], [[0, 480.0]]])
def test_a_polynomial_that_does_not_rise_is_no_ftheta(polynomial):
    with pytest.raises(BrokenRecord, match=r"wanted 0 and then a number above 0$"):
        Lens.ftheta((1, 2), polynomial)


def picture(intrinsics=K, **more):
    return CameraImage("CAM_LEFT", 0, intrinsics, np.eye(4), lambda: b"", **more)


def test_a_picture_has_the_lens_of_its_numbers_and_shares_it_with_others():
    numbers = np.array(BROWN[5])
    lens = picture(distortion=numbers, distortion_model="brown").lens
    assert (lens.model, lens.intrinsics.tolist(), lens.coefficients.tolist()) == ("brown", K.tolist(), BROWN[5])
    assert picture(K.copy(), distortion=numbers.copy(), distortion_model="brown").lens is lens
    # without coefficients it is undistorted, whatever the model is called
    assert picture(distortion_model="brown").lens == Lens(K)
    assert lens_of(K.astype(np.float32), "none", None) == Lens(K.astype(np.float32))


def test_a_picture_whose_numbers_make_no_lens_names_its_camera():
    with pytest.raises(BrokenRecord, match=r"^a/b\.jpg: camera CAM_LEFT: distortion of brown has shape \(3,\)"):
        _ = picture(distortion=np.zeros(3), distortion_model="brown", source="a/b.jpg").lens
    with pytest.raises(BrokenRecord, match=r"^camera CAM_LEFT: intrinsics \[\[0\.0, .* are singular"):
        _ = picture(np.diag([0.0, 0, 1])).lens


@lenses
def test_a_lens_is_a_value(lens):
    again = pickle.loads(pickle.dumps(lens))
    assert again == lens
    assert hash(again) == hash(lens)
    assert lens != Lens(K, "brown", np.array([0.123, 0, 0, 0]))
    assert not lens.intrinsics.flags.writeable
    assert not lens.coefficients.flags.writeable
    assert not lens.parameters.flags.writeable


def test_the_models_have_the_numbers_that_kernels_know():
    named = ("PINHOLE", "BROWN", "FISHEYE", "MEI", "FTHETA", "FTHETA_BACKWARD")
    assert [getattr(lens_kernel, name) for name in named] == list(range(6))
    models = ["none" if name == "PINHOLE" else name.lower() for name in named]
    assert list(COEFFICIENTS) == models
    assert {lens.model: lens.code for lens in LENSES.values()} == {model: i for i, model in enumerate(models)}
    assert LENSES["mei"].parameters.shape == (lens_kernel.PARAMETERS,)
