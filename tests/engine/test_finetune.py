"""The split and the schedule of a fine-tuning."""

import pytest

from vlpt_d2.engine import load_config
from vlpt_d2.engine.finetune import schedule, split


def test_the_split_is_drawn_from_images_with_a_text():
    texts = [0, 3] * 12
    train, held_out = split(texts, seed=1)
    assert sorted(train + held_out) == list(range(24)) and len(held_out) == 2
    assert all(texts[i] for i in held_out) and train == sorted(train)
    assert (train, held_out) == split(texts, seed=1)
    assert len({tuple(split(texts, seed)[1]) for seed in range(20)}) > 10


@pytest.mark.parametrize("images, held_out", [(10, 2), (20, 4), (100, 20), (1000, 50)])
def test_a_fifth_is_held_out_within_limits(images, held_out):
    assert len(split([1] * images, seed=0)[1]) == held_out


def test_too_few_images_with_a_text():
    with pytest.raises(ValueError, match="9 of 12 images have text to learn; at least 10"):
        split([1] * 9 + [0] * 3, seed=0)


@pytest.mark.parametrize("on_gpu", [False, True])
@pytest.mark.parametrize("images", [8, 80, 8000])
def test_the_schedule_is_one_that_trains(images, on_gpu):
    cfg = load_config("detection/icdar2015/db_mobile.yaml", schedule(images, on_gpu))
    solver = cfg.SOLVER
    assert (images, solver.MAX_ITER) in ((8, 200), (80, 1200), (8000, 3000))
    assert (on_gpu, solver.IMS_PER_BATCH) in ((True, 16), (False, 4))
    evaluations = solver.MAX_ITER // cfg.TEST.EVAL_PERIOD
    assert cfg.TEST.PATIENCE < evaluations == 10
    assert 0 < solver.WARMUP_ITERS < solver.MAX_ITER
