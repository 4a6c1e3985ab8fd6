"""A loader's batches in frameworks: the same memory, and each framework's own ways."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import perceptum as pc
from perceptum.builders import Augment
from perceptum.errors import UsageError

FLAT = ["ego_pose"]
BOTH = ["ego_pose", "lidar_points"]


def address(array):
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize("workers", [0, 2])
def test_torch_tensors_lie_where_the_worker_built_them(load, monkeypatch, workers):
    pytest.importorskip("torch")
    loader = load(spec=BOTH, batch_size=4, shuffle=2, workers=workers)
    plain = {tuple(b.indices): {n: a.copy() for n, a in b.items()} for b in load(spec=BOTH, batch_size=4, shuffle=2)}
    built = []
    made = type(loader)._finished
    monkeypatch.setattr(type(loader), "_finished", lambda *args: built.append(made(*args)) or built[-1])
    for batch in loader.torch():
        assert {name: tensor.data_ptr() for name, tensor in batch.items()} == {
            name: address(array) for name, array in built[-1].items()
        }
        assert (batch.frame_ids, batch.epoch, batch.draws) == (built[-1].frame_ids, 0, built[-1].draws)
        for name, array in plain[tuple(built[-1].indices)].items():
            np.testing.assert_array_equal(batch[name].numpy(), array)
            # what a training step does to its input is in no later batch
            batch[name].zero_()
    assert len(built) == len(loader.torch()) == 3


def test_a_torch_tensor_keeps_its_memory(load):
    pytest.importorskip("torch")
    loader = load(spec=BOTH, batch_size=2, workers=1)
    first = next(iter(loader.torch()))["lidar_points"][3:]
    copy = first.clone()
    for _ in range(3):
        for batch in loader.torch():
            del batch
    assert (first == copy).all()


@pytest.mark.framework
@pytest.mark.parametrize("workers", [0, 2])
def test_the_torch_dataset_works_under_torchs_own_loader_and_samplers(load, workers):
    data = pytest.importorskip("torch.utils.data")
    distributed = pytest.importorskip("torch.utils.data.distributed")
    loader = load(spec=BOTH, seed=3, augment=Augment(rotate=1.0))
    dataset = loader.torch_dataset()
    sampler = distributed.DistributedSampler(dataset, num_replicas=2, rank=1, shuffle=True, seed=1)
    theirs = data.DataLoader(
        dataset, batch_size=3, sampler=sampler, collate_fn=dataset.collate, num_workers=workers,
        multiprocessing_context="fork" if workers else None,
    )  # fmt: skip
    dataset.set_epoch(2)
    order = list(sampler)
    builder = pc.InputBuilder(BOTH, training=True, augment=Augment(rotate=1.0))
    for number, batch in enumerate(theirs):
        indices = order[3 * number : 3 * number + 3]
        frames = [loader.dataset[index] for index in indices]
        wanted = builder.build_batch(frames, draws=[pc.Draw(3, 2, index) for index in indices])
        for name, array in wanted.items():
            np.testing.assert_array_equal(batch[name].numpy(), array)
    assert number == 1
    assert len(dataset) == 11


def test_the_frames_are_a_random_access_source(load):
    source = load(spec=BOTH, seed=3).source()
    again = pickle.loads(pickle.dumps(source))
    assert len(again) == 11
    for index in (5, 0):
        np.testing.assert_array_equal(again[index]["lidar_points"], source[index]["lidar_points"])
    assert source.batch([5, 0])["ego_pose"].shape[0] == 2
    np.testing.assert_array_equal(source[-6]["lidar_points"], source[5]["lidar_points"])
    with pytest.raises(IndexError):
        source[11]


def test_grain_takes_the_source(load):
    grain = pytest.importorskip("grain.python")
    dataset = grain.MapDataset.source(load(spec=FLAT).source()).seed(1).shuffle().batch(4)
    assert dataset[0]["ego_pose"].shape[0] == 4


@pytest.fixture
def tf():
    return pytest.importorskip("tensorflow")


@pytest.mark.framework
def test_a_tensorflow_dataset_is_an_epoch_each_time(load, tf):
    loader = load(spec=BOTH, batch_size=4, shuffle=1, workers=2)
    dataset = loader.tf_dataset()
    wanted = load(spec=BOTH, batch_size=4, shuffle=1)
    shapes = {name: spec.shape.as_list() for name, spec in dataset.element_spec.items()}
    assert shapes == {
        "ego_pose": [None, *next(iter(wanted))["ego_pose"].shape[1:]],
        "lidar_points": [None, *next(iter(wanted))["lidar_points"].shape[1:]],
        "lidar_points_batch_ptr": [None],
    }
    assert int(dataset.cardinality()) == 3
    wanted.set_epoch(0)
    for _ in range(2):
        for ours, theirs in zip(wanted, dataset, strict=True):
            for name, array in ours.items():
                np.testing.assert_array_equal(theirs[name].numpy(), array)


@pytest.mark.framework
def test_tensorflow_takes_the_memory_as_it_is(load, tf, monkeypatch):
    loader = load(spec=BOTH, batch_size=4)
    addresses = []
    made = type(loader)._finished

    def finished(*args):
        batch = made(*args)
        addresses.append({name: address(array) for name, array in batch.items()})
        return batch

    monkeypatch.setattr(type(loader), "_finished", finished)
    for number, batch in enumerate(loader.tf_dataset()):
        # a tensor's own `numpy()` copies
        found = {name: address(np.asarray(memoryview(tensor))) for name, tensor in batch.items()}
        assert found == addresses[number]


@pytest.mark.framework
def test_keras_fits(load, tf):
    loader = load(spec=FLAT, batch_size=4, shuffle=1, workers=1)
    shape = next(iter(loader))["ego_pose"].shape[1:]
    dataset = loader.tf_dataset(inputs=["ego_pose"], targets=["ego_pose"])
    x = tf.keras.Input(shape, name="ego_pose")
    model = tf.keras.Model({"ego_pose": x}, {"ego_pose": tf.keras.layers.Dense(shape[-1])(x)})
    model.compile("sgd", {"ego_pose": "mse"})
    history = model.fit(dataset, epochs=2, verbose=0)
    assert len(history.history["loss"]) == 2
    assert loader.epoch == 3


def test_unknown_names_are_refused(load):
    pytest.importorskip("tensorflow")
    with pytest.raises(UsageError, match="no tensor 'ego' in a batch of this loader; there are ego_pose"):
        load(spec=FLAT).tf_dataset(targets=["ego"])
    with pytest.raises(UsageError, match="tf_dataset wants a loader of one spec; this one has a, b"):
        load(spec={"a": FLAT, "b": BOTH}).tf_dataset()
