"""The largest of what a decoding has found."""

import numpy as np
import pytest

from vlpt_d2.modeling.detection.decoded import largest


@pytest.mark.parametrize(
    ("limit", "chosen", "dropped"),
    [(0, [1, 3, 4, 6], 0), (4, [1, 3, 4, 6], 0), (3, [1, 3, 4], 1), (2, [3, 4], 2), (1, [3], 3)],
)
def test_the_first_of_equal_ones_are_chosen_in_their_order(limit, chosen, dropped):
    sizes = np.array([99, 5, 99, 8, 8, 99, 5])
    kept, counts = largest(np.array([1, 3, 4, 6]), sizes, limit)
    assert kept.tolist() == chosen
    assert counts == {"candidates": 4, "dropped_candidates": dropped}
