"""Random polygons, and those that a decoding finds."""

import numpy as np


def random_polygon(rng, corners):
    """A star-shaped ring about a point that may lie outside an image of 70 x 90 pixels."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radii = rng.uniform(5, 40, corners)
    directions = np.column_stack([np.cos(angles), np.sin(angles)])
    return directions * radii[:, None] + rng.uniform(-10, 100, 2)


def unpacked(found):
    """Polygons and scores of a head's DecodedTexts."""
    return found.polygons, found.scores
