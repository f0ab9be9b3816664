"""Every shipped detector finds the texts of its own perfect maps, at its own test size."""

import numpy as np
from helpers.detectors import HEADS
from helpers.round_trip import icdar2015_texts
from helpers.shipped_detectors import shipped_settings


def test_texts_come_back_with_the_keys_of_every_config(icdar2015_root):
    """benchmarks/bench_round_trip.py measures all images, and lies above these floors."""
    images = icdar2015_texts(icdar2015_root)[::200]
    heads, configs = set(), []
    for names, setting in shipped_settings():
        outcomes = setting.outcomes(images)
        found = np.array([not o.reason for o in outcomes])
        large = np.array([o.short_side >= 12 for o in outcomes])
        assert large.sum() > 10
        assert found.mean() > 0.8, names
        assert found[large].mean() > 0.93, names
        heads.add(type(setting.head).__name__)
        configs += names
    assert heads == set(HEADS)
    assert len(configs) > 25 and len(configs) == len(set(configs))
