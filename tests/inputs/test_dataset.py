"""A dataset is one run of frames: places, subsets, shares of an epoch."""

import pickle

import numpy as np
import pytest

from perceptum.datasets import open_log
from perceptum.inputs import Dataset, LogError

FRAMES = (10, 4, 7)
SMALL = {"beams": 8, "azimuth_steps": 60, "image_size": (80, 48)}


@pytest.fixture(scope="module")
def logs():
    return [open_log("synthetic", frames=frames, seed=seed, **SMALL) for seed, frames in enumerate(FRAMES)]


@pytest.fixture
def dataset(logs):
    return Dataset(logs, name="streets")


def test_frames_come_one_log_after_the_other(dataset, logs):
    assert len(dataset) == sum(FRAMES)
    wanted = [(number, frame) for number, log in enumerate(logs) for frame in range(len(log))]
    assert [dataset.place(i) for i in range(len(dataset))] == wanted
    assert [dataset.place(i - len(dataset)) for i in range(len(dataset))] == wanted
    assert list(zip(*(column.tolist() for column in dataset.places()), strict=True)) == wanted
    assert [(f.log, f.index) for f in dataset] == [(logs[number], frame) for number, frame in wanted]
    assert dataset[np.int64(10)].log is logs[1]
    assert repr(dataset) == "<Dataset streets: 3 logs, 21 frames>"


def test_a_number_that_is_no_frame_is_an_error(dataset):
    for index in (21, -22):
        with pytest.raises(IndexError, match=rf"^no frame {index}, streets has 21$"):
            dataset[index]
    with pytest.raises(TypeError, match=r"of an id that is find\('000001'\)$"):
        dataset["000001"]
    with pytest.raises(IndexError, match=r"^no frame 21, streets has 21$"):
        dataset.subset([3, 21])
    with pytest.raises(TypeError, match=r"chosen by \(n,\) whole numbers or \(21,\) bool, got float64 \(1,\)$"):
        dataset.subset([0.5])
    with pytest.raises(ValueError, match=r"^every must be 1 or more, got 0$"):
        dataset.subset(every=0)


def test_a_dataset_is_made_of_logs(logs):
    with pytest.raises(LogError, match=r"^a dataset needs at least one log$"):
        Dataset([])
    with pytest.raises(
        TypeError, match=r"^a dataset is made of logs, got a str; what lies at a path is opened first, by "
    ):
        Dataset([logs[0], "synthetic"])
    assert Dataset.of(logs[0]).logs == (logs[0],)
    whole = Dataset(logs)
    assert Dataset.of(whole) is whole
    assert list(Dataset.of([whole, logs[0]]).logs) == [*logs, logs[0]]


def test_a_subset_is_a_dataset_of_some_of_the_frames(dataset):
    whole = [(f.log, f.index) for f in dataset]

    def frames(subset):
        assert len(subset) == len(list(subset))
        return [(f.log, f.index) for f in subset]

    assert frames(dataset.subset(every=5)) == whole[::5]
    assert frames(dataset.subset(first=3)) == whole[:3]
    assert frames(dataset.subset(every=5, first=2)) == [whole[0], whole[5]]
    assert frames(dataset[3:18:4]) == whole[3:18:4]
    assert frames(dataset.subset([20, 0, 0, -1])) == [whole[20], whole[0], whole[0], whole[20]]
    assert frames(dataset.subset(np.arange(21) % 2 == 1)) == whole[1::2]
    assert frames(dataset.subset(of_each=5)) == [whole[5], whole[19]]
    assert frames(dataset.subset(of_each=-1)) == [whole[9], whole[13], whole[20]]
    assert frames(dataset.subset(of_each=slice(2, 4))) == [whole[i] for i in (2, 3, 12, 13, 16, 17)]
    assert frames(dataset[5:][::3]) == whole[5::3]
    assert frames(dataset.subset([])) == []
    assert repr(dataset[5:8]) == "<Dataset streets: 3 logs, 3 of 21 frames>"
    assert [row["frames"] for row in dataset[5:12].info()["logs"]] == [5, 2, 0]


def test_frames_are_found_by_their_ids(dataset):
    assert dataset.find("000009") == 9
    assert dataset.find("000003", log="street-1") == 13
    assert dataset[8:].find("000003", log="street-1") == 5
    for id, log, said in (
        ("000003", None, "3 logs have a frame '000003' (street-0, street-1, street-2); say which with log='street-0'"),
        ("000011", None, "no frame with the id '000011'"),
        ("000005", "street-1", "no frame with the id '000005' in log street-1"),
        ("000005", "road", "no log 'road'; there are street-0, street-1, street-2"),
    ):
        with pytest.raises(LogError) as caught:
            dataset.find(id, log)
        assert str(caught.value) == f"streets: {said}"


def test_without_weights_each_place_is_its_frame(dataset, logs):
    assert not dataset.weighted
    assert dataset.drawn(np.arange(21), 7).tolist() == list(range(21))
    assert dataset.weights.tolist() == [[0, 21, 1]]
    joined = Dataset.concat([dataset, Dataset(logs[:1])])
    assert not joined.weighted
    assert len(joined) == 31


@pytest.mark.parametrize("weights", [(0.7, 0.3), (3, 1), (0.01, 0.99), (1, 0)])
def test_weights_are_shares_of_an_epoch(logs, weights):
    first, second = Dataset(logs[:2]), Dataset(logs[2:])
    mixed = Dataset.concat([first, second], weights=weights)
    assert len(mixed) == 21
    share = weights[0] / sum(weights)
    drawn = np.array([mixed.drawn(np.arange(21), epoch) for epoch in range(200)])
    of_first = (drawn < 14).sum(axis=1)
    assert (np.abs(of_first - share * 21) <= 1).all()
    counts = np.bincount(drawn.ravel(), minlength=21)
    # each as often as every other of its part
    assert np.ptp(counts[:14]) <= 1
    assert np.ptp(counts[14:]) <= 1
    np.testing.assert_allclose(mixed.weights[:, 2] * [14, 7], [of_first[0], 21 - of_first[0]])


def test_what_is_drawn_follows_from_the_place_and_the_epoch_alone(logs):
    mixed = Dataset.concat([Dataset(logs[:2]), Dataset(logs[2:])], weights=(1, 9))
    whole = mixed.drawn(np.arange(21), 5)
    alone = [int(mixed.drawn([i], 5)[0]) for i in reversed(range(21))]
    assert whole.tolist() == alone[::-1]
    assert pickle.loads(pickle.dumps(mixed)).drawn(np.arange(21), 5).tolist() == whole.tolist()
    assert mixed.drawn(np.arange(21), 10**12).max() < 21


def test_an_epoch_with_room_for_few_takes_them_from_all_over_the_part(logs):
    long = Dataset([open_log("synthetic", frames=1000, **SMALL)])
    mixed = Dataset.concat([long, Dataset(logs)], weights=(0.05, 0.95))
    few = np.sort(mixed.drawn(np.arange(51), 3))
    assert (few < 1000).all()
    assert np.diff(few).max() < 60
    assert len(set(few)) == 51


def test_mixed_datasets_can_be_mixed_and_cut(logs):
    inner = Dataset.concat([Dataset(logs[:1]), Dataset(logs[1:2])], weights=(1, 1))
    outer = Dataset.concat([inner, Dataset(logs[2:])], weights=(2, 1))
    assert repr(outer) == "<Dataset synthetic: 3 logs, 21 frames, mixed 0.333 : 0.333 : 0.333>"
    assert outer.weights[:, :2].tolist() == [[0, 10], [10, 14], [14, 21]]
    cut = outer.subset(every=2)
    assert cut.weights[:, :2].tolist() == [[0, 5], [5, 7], [7, 11]]
    assert set(cut.drawn(np.arange(11)).tolist()) <= set(range(11))
    assert not outer[:8].weighted
    with pytest.raises(LogError, match="must be chosen part by part, in order"):
        outer.subset([20, 0])


def test_parts_of_datasets_are_joined_as_the_frames_that_they_are(logs):
    first, second = Dataset(logs[:2]).subset([13, 0, 5]), Dataset(logs[1:])
    joined = Dataset.concat([first, second, second[2:4]])
    wanted = [(f.log, f.index) for part in (first, second, second[2:4]) for f in part]
    assert [(f.log, f.index) for f in joined] == wanted
    assert [joined.place(i) for i in range(3)] == [(1, 3), (0, 0), (0, 5)]
    mixed = Dataset.concat([first, second], weights=(3, 1))
    drawn = mixed.drawn(np.arange(14), 0)
    assert ((drawn < 3).sum(), (drawn >= 3).sum()) in ((10, 4), (11, 3))
    assert [(mixed[i].log, mixed[i].index) for i in range(14)] == wanted[:14]


def test_what_is_left_of_a_mix_is_drawn_in_the_shares_that_it_had(logs):
    mixed = Dataset.concat([Dataset([log]) for log in logs], weights=(1, 1, 6))
    assert np.diff(mixed.weights[:, :2], axis=1).ravel().tolist() == list(FRAMES)
    cut = mixed[:14]
    # a mix of the first two, which had as much as each other
    assert [round(often * size) for (_, _, often), size in zip(cut.weights, FRAMES[:2], strict=True)] == [7, 7]


def test_weights_that_cannot_be_are_refused(logs):
    parts = [Dataset(logs[:1]), Dataset(logs[1:])]
    for weights, said in (
        ((1,), "weights must be 2 numbers, one for each dataset, got [1]"),
        ((0, 0), "weights must be 0 or more, and one above 0, got [0, 0]"),
        ((1, -1), "weights must be 0 or more, and one above 0, got [1, -1]"),
        ((1, float("nan")), "weights must be 0 or more, and one above 0, got [1, nan]"),
    ):
        with pytest.raises(LogError) as caught:
            Dataset.concat(parts, weights=weights)
        assert str(caught.value) == said
    with pytest.raises(LogError, match=r"^synthetic: has no frames to draw, but the weight 2$"):
        Dataset.concat([parts[0], parts[1].subset([])], weights=(1, 2))


def test_a_dataset_of_open_logs_pickles_with_its_subset(dataset):
    again = pickle.loads(pickle.dumps(dataset[3:15]))
    assert [(f.log.source.name, f.id) for f in again] == [(f.log.source.name, f.id) for f in dataset[3:15]]
