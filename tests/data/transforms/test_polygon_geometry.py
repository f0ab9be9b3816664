"""Reading, repairing and clipping polygons."""

from collections import Counter

import numpy as np
import pytest
import shapely
from detectron2.structures import BoxMode

from vlpt_d2.data.transforms import clip_polygons, polygons_from_annotations
from vlpt_d2.evaluation.protocols.shapes import to_shapes


def square(x, y, side=10.0):
    return np.array([(x, y), (x + side, y), (x + side, y + side), (x, y + side)])


def test_annotations_to_polygons():
    annotations = [
        {"segmentation": [[0, 0, 8, 0, 8, 4, 0, 4]], "iscrowd": 1},
        {"bbox": [10, 20, 5, 6], "bbox_mode": BoxMode.XYWH_ABS, "iscrowd": 0},
        {"segmentation": [[1, 1, 3, 1, 2, 4], [5, 5, 7, 5, 6, 8]]},
    ]
    polygons, ignore, faults = polygons_from_annotations(annotations)
    assert faults == 0 and ignore.tolist() == [True, False, False, False]
    assert polygons[0].tolist() == [[0, 0], [8, 0], [8, 4], [0, 4]]
    assert polygons[1].tolist() == [[10, 20], [15, 20], [15, 26], [10, 26]]
    assert [len(p) for p in polygons] == [4, 4, 3, 3]
    polygons, ignore, faults = polygons_from_annotations([])
    assert polygons == [] and ignore.dtype == bool and faults == 0


def test_faulty_rings_are_repaired_or_dropped_and_counted():
    bow_tie = [0, 0, 10, 10, 10, 0, 0, 10]  # four corners in a wrong order
    flat = [0, 0, 5, 5, 9, 9]
    not_finite = [0, 0, 5, float("nan"), 9, 9]
    polygons, ignore, faults = polygons_from_annotations(
        [{"segmentation": [r], "iscrowd": 0} for r in (bow_tie, flat, [1, 2, 3, 4], not_finite)]
    )
    assert faults == 4 and len(polygons) == 1 and len(ignore) == 1
    assert shapely.Polygon(polygons[0]).area == pytest.approx(100)


def test_mappers_and_protocols_repair_alike():
    rng = np.random.default_rng(0)
    for _ in range(200):
        ring = rng.integers(0, 12, size=(rng.integers(3, 9), 2)).astype(np.float64)
        faults = Counter()
        (shape,) = to_shapes([ring], faults)
        polygons, _, _ = polygons_from_annotations([{"segmentation": [ring.ravel().tolist()]}])
        assert sum(shapely.Polygon(p).area for p in polygons) == shape.area
        # Cut off left of and above 6.
        clipped, _ = clip_polygons([ring - 6], np.zeros(1, bool), (40, 40))
        if (ring.min(axis=0) < 6).any():
            visible = shape.intersection(shapely.box(6, 6, 46, 46)).area
            assert sum(shapely.Polygon(p).area for p in clipped) == pytest.approx(visible)


def test_clipping_is_exact():
    polygons = [square(5, 5), square(-4, 5), square(95, 45), square(-6, 5), square(120, 5)]
    kept, ignore = clip_polygons(polygons, np.zeros(5, bool), (50, 100), min_visible=0.5)
    assert kept[0] is polygons[0]
    areas = [shapely.Polygon(p).area for p in kept]
    assert areas == pytest.approx([100, 60, 25, 40])
    assert ignore.tolist() == [False, False, True, True]
    for polygon in kept:
        assert (polygon >= 0).all() and (polygon <= (100, 50)).all()


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("corner", [(-4, 5), (94, 5), (40, -4), (40, 44)])
def test_cut_quads_keep_their_reading_direction(corner, mirrored):
    """From the first point on to the right, whichever side is cut off."""
    quad = square(*corner)[[0, 1, 2, 3] if not mirrored else [1, 0, 3, 2]]
    ((kept,), _) = clip_polygons([quad], np.zeros(1, bool), (50, 100))
    np.testing.assert_allclose(kept, np.clip(quad, 0, (100, 50)))


def test_flags_survive_and_the_limit_is_a_setting():
    kept, ignore = clip_polygons(
        [square(-9, 5), square(-9, 20)], np.array([False, True]), (50, 100), min_visible=0.1
    )
    assert ignore.tolist() == [False, True]
    assert shapely.Polygon(kept[0]).area == pytest.approx(10)


def test_text_cut_in_two_is_ignored_in_both():
    arch = np.array(
        [(0, -30), (60, -30), (60, 20), (50, 20), (50, -1), (10, -1), (10, 20), (0, 20)]
    )
    kept, ignore = clip_polygons([arch.astype(float)], np.array([False]), (50, 100), 0.0)
    assert ignore.tolist() == [True, True]
    assert sorted(shapely.Polygon(p).area for p in kept) == pytest.approx([200, 200])


def test_touching_the_border_from_outside_is_outside():
    kept, ignore = clip_polygons([square(-10, 5), square(100, 5)], np.zeros(2, bool), (50, 100))
    assert kept == [] and ignore.shape == (0,)
