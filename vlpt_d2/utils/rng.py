"""Random generators seeded from what a thing is, so that a run can resume exactly.

Nothing here depends on what was drawn before: sample number n, or step i, is drawn from a seed
made of the run's seed and of n, or i. So resuming needs no saved generator state.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

# Streams that must not repeat each other, as spawn keys of numpy's SeedSequence.
SAMPLES, STEPS, EPOCHS, INITIALISATION = range(4)


def derive_seed(stream: int, *numbers: int) -> int:
    """Hash a stream and non-negative integers to a seed in [0, 2**63)."""
    state = np.random.SeedSequence(numbers, spawn_key=(stream,)).generate_state(1, np.uint64)
    return int(state[0]) >> 1


@contextmanager
def seeded_rng(stream: int, *numbers: int) -> Iterator[None]:
    """Seed the generators of python, numpy and torch (CPU); restore all three afterwards."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    seed = derive_seed(stream, *numbers)
    random.seed(seed)
    np.random.seed([seed & 0xFFFFFFFF, seed >> 32])
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])
