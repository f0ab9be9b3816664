"""Overlays of attention: each pixel belongs to the nearest token."""

import numpy as np

from vlpt_d2.inspection.attention_pictures import _nearest_tokens


def test_pixels_belong_to_the_nearest_token():
    for drawn, side, count, centre in ((96, 96, 6, 0.25), (192, 96, 6, 0.5), (50, 40, 3, 0.25)):
        tokens = (np.arange(count) + centre) * 16
        pixels = (np.arange(drawn) + 0.5) * side / drawn
        distance = np.abs(pixels[:, None] - tokens[None])
        near = distance[np.arange(drawn), _nearest_tokens(drawn, side, count, centre)]
        np.testing.assert_allclose(near, distance.min(axis=1), atol=1e-9)
