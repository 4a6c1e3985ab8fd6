"""The made-up drive's own arithmetic, against numpy's and against slow oracles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptum.datasets.synthetic import chance, ground_kernel, kernels
from perceptum.datasets.synthetic.course import Course
from perceptum.datasets.synthetic.trig import angle, cosine, sine


@given(st.floats(-1e5, 1e5))
def test_sine_and_cosine_are_those_of_numpy(x):
    assert abs(float(sine(x)) - np.sin(x)) < 1e-11
    assert abs(float(cosine(x)) - np.cos(x)) < 2e-11


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_the_angle_is_that_of_numpy(y, x):
    if abs(y) + abs(x) > 1e-100:
        assert abs(abs(float(angle(y, x))) - abs(np.arctan2(y, x))) < 1e-14
        assert float(angle(y, x)) >= 0 if y >= 0 else float(angle(y, x)) <= 0


def test_chance_is_even_and_differs_with_every_counter():
    u = chance.uniform(chance.key(3, 1), np.arange(1000)[:, None], np.arange(100))
    assert len(np.unique(u)) == u.size
    assert np.allclose(np.histogram(u, 10, (0, 1))[0], 10_000, atol=400)
    n = chance.normal(chance.key(3, 2), np.arange(100_000))
    assert abs(n.mean()) < 0.02
    assert abs(n.std() - 1) < 0.02


def test_the_kernels_chance_is_the_same():
    start, counters = chance.key(5, 4, 17), [0, 1, 153_599, 2**40]
    told = [int(kernels.chance_bits(np.uint64(start), np.int64(c))) for c in counters]
    assert len(set(told)) == 4
    with np.errstate(over="ignore"):
        mixed = chance._mix((np.uint64(start) ^ np.array(counters, np.uint64)) + np.uint64(0x9E3779B97F4A7C15))
    assert told == [int(h) for h in mixed]


@pytest.mark.parametrize("wave_m", [0.0, 0.5, 2.0])
def test_rays_meet_the_ground_where_a_slow_march_does(wave_m):
    course, rng, steps = Course.of(0, wave_m), np.random.default_rng(1), np.linspace(0, 120, 12_001)
    waves, steepest = course.ground_for_kernels
    for k in range(300):
        x, y = rng.uniform(-500, 500), rng.uniform(-30, 30)
        z = float(course.ground(x, y)) + rng.uniform(0.5, 2.5)
        azimuth, elevation = rng.uniform(0, 6.28), -abs(rng.normal(0, 0.03)) if k % 2 else rng.uniform(-0.5, 0.05)
        d = np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)
        t = ground_kernel.ground_ray(waves, steepest, x, y, z, *d, 0.0, 0.0, 120.0)
        gap = z + steps * d[2] - course.ground(x + steps * d[0], y + steps * d[1])
        if (gap < 0).any():
            first = int(np.argmax(gap < 0))
            assert steps[first - 1] - 1e-3 <= t <= steps[first] + 1e-3
            assert abs(z + t * d[2] - float(course.ground(x + t * d[0], y + t * d[1]))) < 1e-6
        else:
            assert t > 119.9


def _slow_hit(kind, o, d, half):
    """The first of many small steps inside, or None."""
    t = np.linspace(0, 40, 40_001)
    p = np.abs((o + t[:, None] * d) / half)
    inside = {
        0: p.max(axis=1) <= 1,
        1: (np.hypot(p[:, 0], p[:, 1]) <= 1) & (p[:, 2] <= 1),
        2: np.hypot(np.hypot(p[:, 0], p[:, 1]), p[:, 2]) <= 1,
    }[kind]
    return t[np.argmax(inside)] if inside.any() else None


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_rays_meet_solids_where_a_slow_march_does(kind):
    rng, met = np.random.default_rng(kind), 0
    for _ in range(150):
        half = rng.uniform(0.3, 4, 3)
        o = rng.normal(0, 1, 3)
        o *= (np.linalg.norm(half) + rng.uniform(1, 8)) / np.linalg.norm(o)
        d = rng.uniform(-1.1, 1.1, 3) * half - o
        d /= np.linalg.norm(d)
        t, slow = kernels.hit(kind, *o, *d, *half), _slow_hit(kind, o, d, half)
        if slow is not None:
            met += 1
            assert abs(t - slow) < 2e-3
        elif t < np.inf:  # a graze that the march steps over
            assert _slow_hit(kind, o + (t - 1e-3) * d, d * 1e-3, half) is not None
    assert met > 60


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_a_ray_from_inside_a_solid_or_away_from_it_meets_nothing(kind):
    assert kernels.hit(kind, 0.1, 0.1, 0.1, 0.6, 0.0, 0.8, 1.0, 2.0, 3.0) == np.inf
    assert kernels.hit(kind, 5.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 2.0, 3.0) == np.inf
    assert kernels.hit(kind, -5.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 2.0, 3.0) == 4.0


def test_the_road_under_a_point_is_found_again():
    course, rng = Course.of(4, 0.5), np.random.default_rng(2)
    along, across = rng.uniform(-250, 250, 500), rng.uniform(-15, 15, 500)
    table = course.table(-300, 300)
    for (x, y), a, b in zip(course.place(along, across), along, across, strict=True):
        assert np.allclose(ground_kernel.road(x, y, x, table), (a, b), atol=1e-3)
