"""Which samples come when."""

import itertools

import pytest

from vlpt_d2.data.samplers import EpochPermutation, TrainingBatches, even_batches


def take(batches, count):
    return list(itertools.islice(iter(batches), count))


def test_every_epoch_is_another_permutation():
    order = EpochPermutation(7, seed=3)
    epochs = [[order[7 * e + i] for i in range(7)] for e in range(3)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs[0] != [EpochPermutation(7, seed=4)[i] for i in range(7)]


def test_permutation_does_not_depend_on_what_was_asked_before():
    order = EpochPermutation(5, seed=0)
    forward = [order[n] for n in range(40)]
    assert [order[n] for n in reversed(range(40))] == forward[::-1]
    assert EpochPermutation(5, seed=0)[33] == forward[33]


def test_fast_forward_goes_on_where_a_whole_run_would_be():
    whole = take(TrainingBatches(6, accumulate=2), 20)
    assert take(TrainingBatches(6, accumulate=2, start_iter=4), 12) == whole[8:]
    assert whole[:3] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_processes_share_each_step():
    ranks = [take(TrainingBatches(8, rank=r, world_size=2, accumulate=2), 4) for r in range(2)]
    assert ranks[0] == [[0, 1], [2, 3], [8, 9], [10, 11]]
    assert ranks[1] == [[4, 5], [6, 7], [12, 13], [14, 15]]


@pytest.mark.parametrize("batch, accumulate, world_size", [(6, 1, 4), (6, 4, 1), (0, 1, 1)])
def test_uneven_batch_is_refused(batch, accumulate, world_size):
    with pytest.raises(ValueError, match="IMS_PER_BATCH"):
        TrainingBatches(batch, accumulate=accumulate, world_size=world_size)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9, 16, 17, 64, 65])
@pytest.mark.parametrize("batch", [1, 2, 3, 8, 64])
def test_test_batches_cover_all_and_are_never_single(size, batch):
    whole = even_batches(size, batch)
    assert list(itertools.chain(*whole)) == list(range(size))
    lengths = {len(b) for b in whole}
    assert max(lengths) - min(lengths) <= 1
    if batch > 1 and size > 1:
        assert 1 not in lengths
    assert max(lengths) <= (3 if batch == 2 else batch)
    for world_size in (2, 3):
        shares = [even_batches(size, batch, r, world_size) for r in range(world_size)]
        assert list(itertools.chain(*shares)) == whole
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_test_batch_of_none_is_refused():
    with pytest.raises(ValueError, match=r"TEST\.IMS_PER_BATCH"):
        even_batches(4, 0)
