"""Outlines of numbered regions; each filter is tested with PSENet's decoding."""

import cv2
import numpy as np
import pytest
import shapely

from vlpt_d2.modeling.detection import regions


def test_hulls_grow_as_shapely_grows_them():
    """Mitred; also where a corner is so sharp that its point is cut off."""
    rng = np.random.default_rng(0)
    rings = [
        cv2.convexHull(rng.integers(0, 60, (rng.integers(3, 20), 1, 2), dtype=np.int32))[:, 0]
        for _ in range(60)
    ]
    rings += [np.int32([(0, 0), (80, 0), (80, 3)]), np.int32([(0, 0), (9, 0), (9, 9), (0, 9)])]
    missing = rng.uniform(0, 30, len(rings))
    grown = regions._move_hulls(rings, missing)
    for ring, more, found in zip(rings, missing, grown):
        shape = shapely.Polygon(ring)
        # The distance that encloses so much more if all four corners are right angles.
        distance = min(max(np.roots([4, shape.length, -more])), 0.5)
        expected = shape.buffer(distance, join_style="mitre", mitre_limit=5.0)
        assert shapely.Polygon(found).symmetric_difference(expected).area < 1e-3


@pytest.mark.parametrize("polygon_mode", [False, True])
def test_gaps_are_closed_and_crumbs_left_out(polygon_mode):
    def outline(**options):
        return regions.outline_regions(labels, np.array([1]), polygon_mode=polygon_mode, **options)

    labels = np.zeros((40, 60), np.int32)
    labels[5:10, 8:50] = labels[13:18, 8:50] = 1  # three rows between the two halves
    labels[30, 55] = 1
    (closed,) = outline(closing=5)
    assert sorted(closed.tolist()) == [[8, 5], [8, 18], [50, 5], [50, 18]]
    (half,) = outline()
    assert np.ptp(half, axis=0).tolist() == [42, 5]
    # At the border of the map nothing is closed that is open inside it.
    labels[:] = 0
    labels[:9, 8:50] = 1
    labels[:2, 20:40] = 0
    (closed,) = outline(closing=5)
    assert len(closed) == (8 if polygon_mode else 4)
    # A box of a region with bays has less area than it spans.
    assert closed.min(axis=0) == pytest.approx([8, 0], abs=0.5)
