"""Whatever goes wrong in the middle of a build, the next one gives the right bytes."""

from __future__ import annotations

import signal
import threading
import time
from itertools import cycle
from random import Random

import numpy as np
import pytest

from perceptum.builders import BuildError, InputBuilder
from perceptum.builders.kernels import bev, voxels
from perceptum.features import canonical
from perceptum.inputs import BrokenRecord

# what builds do, whatever they make: the sensors' families stand for all
SENSORS = ("lidar", "radar", "camera", "ego_pose", "reference")
NAMES = [feature.name for feature in canonical() if feature.name.startswith(SENSORS)]
GRID = {"range": [-40, -40, -3, 40, 40, 3], "voxel": [1, 1, 1]}
PARAMS = {group: {"grid": GRID} for group in ("lidar_voxels", "lidar_bev_occupancy", "lidar_bev_stats")}
PARAMS["lidar_bev_stats"]["channels"] = ["count", "slice_height", "var_z", "max_i", "top_i"]
PARAMS["lidar_bev_temporal"] = {"grid": GRID, "num_sweeps": 1}
# a frame decides the sizes of pictures else, which cannot be stacked
PARAMS |= {"image": {"cameras": ["CAM_FRONT", "CAM_BACK"], "crop": [12, 20]}}


def everything(**options):
    return InputBuilder(NAMES, params=PARAMS, **options)


# all that the kernels below work for
CLOUD = [name for name in NAMES if canonical().group_of(name).name.startswith(("lidar_bev", "lidar_voxels"))]


def of_the_cloud():
    return InputBuilder(CLOUD, params={group: PARAMS[group] for group in PARAMS if group.startswith("lidar")})


def in_bytes(tensors):
    return {name: (array.shape, array.tobytes()) for name, array in tensors.items()}


@pytest.fixture(scope="module")
def frames(frame_of, street):
    return [frame_of(street(n, seed=n)[:, :3]) for n in (900, 50, 700, 0, 899)]


@pytest.fixture(scope="module")
def truth(frames):
    return [in_bytes(everything().build(frame)) for frame in frames]


def break_at(monkeypatch, owner, name, error, after_work):
    """Lets the next call of owner.name fail, before or after it has done its work."""
    real, armed = getattr(owner, name), [True]

    def failing(*args):
        result = real(*args) if after_work or not armed[0] else None
        if armed[0]:
            armed[0] = False
            # a new one: that which the test is given would keep every builder of every test, by its traceback
            raise type(error)(*error.args)
        return result

    monkeypatch.setattr(owner, name, failing)


KERNELS = [
    (voxels, "gather"),
    (voxels, "clear_slots"),
    (voxels, "write_coords"),
    (voxels, "assign"),
    (bev, "accumulate"),
    (bev, "spread"),
    (bev, "raise_slices"),
    (bev, "clear_columns"),
    (bev, "write_columns"),
]


@pytest.mark.parametrize("after_work", [False, True])
@pytest.mark.parametrize(("owner", "name"), KERNELS, ids=[name for _, name in KERNELS])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError()], ids=["interrupt", "memory"])
@pytest.mark.parametrize("batched", [False, True], ids=["build", "batch"])
def test_a_build_that_fails_half_way_leaves_no_trace(
    monkeypatch, frames, truth, owner, name, error, after_work, batched
):
    builder, random = of_the_cloud(), Random(0)
    for k in (0, 2, 4):
        builder.build(frames[k])
        builder.build_batch([frames[k], frames[1]])
    break_at(monkeypatch, owner, name, error, after_work)
    with pytest.raises(type(error)):
        builder.build_batch(frames[:2]) if batched else builder.build(frames[2])
    # twice: memory comes back in which others of these stood meanwhile
    for _ in range(2):
        for k in random.sample(range(5), 5):
            assert in_bytes(builder.build(frames[k])) == {name: truth[k][name] for name in CLOUD}
            batch = builder.build_batch([frames[1], frames[k]])
            assert batch["lidar_bev_stats"][1].tobytes() == truth[k]["lidar_bev_stats"][1]
            start = batch["lidar_voxels_batch_ptr"][1]
            assert batch["lidar_voxels"][start:].tobytes() == truth[k]["lidar_voxels"][1]


@pytest.mark.parametrize("after_work", [False, True])
def test_an_occupancy_that_fails_half_way_leaves_no_trace(monkeypatch, frames, truth, after_work):
    from perceptum.builders.lidar import bev_occupancy

    builder = everything()
    builder.build(frames[0])
    break_at(monkeypatch, bev_occupancy, "occupy", KeyboardInterrupt(), after_work)
    with pytest.raises(KeyboardInterrupt):
        builder.build(frames[2])
    assert [in_bytes(builder.build(frame)) for frame in frames] == truth


def test_an_interrupt_waits_for_the_threads_that_are_still_writing(monkeypatch, frames, truth):
    """They went on with one frame while the stages had started on the next."""
    builder, written = everything(threads=4), threading.Event()
    builder.build(frames[0])
    real_gather = voxels.gather
    caller = threading.get_ident()

    def slow_gather(*args):
        if threading.get_ident() != caller:
            time.sleep(0.2)
        real_gather(*args)
        written.set()

    def interrupted(*args):
        monkeypatch.setattr(bev, "accumulate", real_accumulate)
        # as Ctrl-C does while the caller works, and others are in the middle of their own
        time.sleep(0.1)
        raise KeyboardInterrupt

    real_accumulate = bev.accumulate
    monkeypatch.setattr(voxels, "gather", slow_gather)
    monkeypatch.setattr(bev, "accumulate", interrupted)
    begun = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        builder.build(frames[2])
    assert threading.active_count() >= begun
    monkeypatch.setattr(voxels, "gather", real_gather)
    for _ in range(3):
        assert [in_bytes(builder.build(frame)) for frame in frames] == truth


@pytest.mark.parametrize("threads", [1, 4])
def test_a_record_that_cannot_be_read_fails_its_own_frame_only(memory_log, sweep_of, street, threads):
    points = street(300)
    log = memory_log([sweep_of(points[:, :3], time_ns=10**9 * (k + 1)) for k in range(3)])
    read = log.source.read_lidar

    def read_lidar(sensor, index):
        if index == 1:
            raise BrokenRecord("drive/1.bin: cut short")
        return read(sensor, index)

    log.source.read_lidar = read_lidar
    builder = everything(threads=threads)
    first = in_bytes(builder.build(log[0]))
    with pytest.raises(BrokenRecord, match=r"^drive/1.bin: cut short$"):
        builder.build(log[1])
    with pytest.raises(BrokenRecord, match=r"^drive/1.bin: cut short$"):
        builder.build_batch([log[0], log[1]])
    last = in_bytes(builder.build(log[2]))
    assert first.pop("reference_stamp") != last.pop("reference_stamp")
    assert last == first


def test_a_model_whose_memory_runs_out_loses_nothing(frames, truth):
    class Model:
        inputs = tuple(row.to_dict() for row in everything().spec)
        left = 3

        def allocator(self, name, nbytes):
            if self.left == 0:
                raise MemoryError(name)
            self.left -= 1
            return memoryview(aligned(nbytes))

    def aligned(nbytes):
        raw = np.zeros(nbytes + 64, np.uint8)
        return raw[-raw.ctypes.data % 64 :][:nbytes]

    model = Model()
    builder = InputBuilder(model)
    with pytest.raises(MemoryError):
        builder.build(frames[0])
    model.left = 1000
    assert [in_bytes(builder.build(frame)) for frame in frames] == truth


def failing(stage, name, error, after_work):
    """Lets the next call of a stage's `run` or `fill` fail, before or after it has done its work."""
    real = getattr(stage, name)

    def fail(*args):
        setattr(stage, name, real)
        if after_work:
            real(*args)
        raise type(error)(*error.args)

    setattr(stage, name, fail)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("after_work", [False, True])
@pytest.mark.parametrize("batched", [False, True], ids=["build", "batch"])
def test_whichever_step_fails_the_next_frames_are_right(frames, truth, threads, after_work, batched):
    # they come in turns: over these tests each step fails with each
    errors = cycle([KeyboardInterrupt(), SystemExit(1), ValueError("no")])
    for _ in range(threads + after_work + batched):
        next(errors)
    builder = everything(threads=threads)
    builder.build(frames[4])
    builder.build_batch([frames[0], frames[2]])
    for step in range(len(builder._lanes[0].stages)):
        for name in ("run", "fill"):
            error = next(errors)
            lane = builder._lanes.pop()
            stage = lane.stages[step]
            builder._lanes.append(lane)
            if not hasattr(stage, name):
                continue
            failing(stage, name, error, after_work)
            # the end of the process is not a stage's to ask for
            with pytest.raises(BuildError if isinstance(error, SystemExit) else type(error)):
                builder.build_batch([frames[2], frames[0]]) if batched else builder.build(frames[2])
            # the lane is gone with its scratch
            assert not builder._lanes
            for k in (1, 0, 3):
                assert in_bytes(builder.build(frames[k])) == truth[k]
            batch = builder.build_batch([frames[1], frames[0]])
            assert batch["lidar_bev_stats"][1].tobytes() == truth[0]["lidar_bev_stats"][1]
            start = batch["lidar_voxels_batch_ptr"][1]
            assert batch["lidar_voxels"][start:].tobytes() == truth[0]["lidar_voxels"][1]


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_interrupts_at_any_line_lock_nothing_up_and_leave_no_wrong_byte(frames, truth, threads, in_a_fork):
    """Between two lines of a pool's callback, of an executor or a future, they left a lock closed for good."""

    def work():
        return 0 if _interrupt_at_any_line(everything(threads=threads), frames, truth, Random(threads)) else 2

    in_a_fork(work, 60, "the builder")


def _interrupt_at_any_line(builder, frames, truth, random):
    """Returns whether all is right after hundreds of interrupts."""
    builder.build(frames[0])
    caught = 0

    def interrupt(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, interrupt)
    until = time.monotonic() + 4
    while time.monotonic() < until:
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 2e-3))
            tensors = builder.build(frames[random.randrange(5)])
            del tensors
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            caught += 1
    while True:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
            break
        except KeyboardInterrupt:
            continue
    right = [in_bytes(builder.build(frames[k])) == truth[k] for k in [*range(5), *reversed(range(5))]]
    return caught > 20 and all(right)
