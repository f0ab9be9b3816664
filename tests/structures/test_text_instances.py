"""Texts: read, repaired, cut, selected and written, their words and characters with them."""

import pickle
from collections import Counter

import numpy as np
import pytest
import shapely
from detectron2.structures import BoxMode

from vlpt_d2.evaluation.protocols.shapes import to_shapes
from vlpt_d2.structures import TextInstances


def square(x, y, side=10.0):
    return np.array([(x, y), (x + side, y), (x + side, y + side), (x, y + side)])


def test_annotations_to_polygons():
    annotations = [
        {"segmentation": [[0, 0, 8, 0, 8, 4, 0, 4]], "iscrowd": 1},
        {"bbox": [10, 20, 5, 6], "bbox_mode": BoxMode.XYWH_ABS, "iscrowd": 0},
        {"segmentation": [[1, 1, 3, 1, 2, 4], [5, 5, 7, 5, 6, 8]]},
    ]
    texts = TextInstances.from_annotations(annotations)
    assert texts.ignore.tolist() == [True, False, False, False]
    assert texts.polygons[0].tolist() == [[0, 0], [8, 0], [8, 4], [0, 4]]
    assert texts.polygons[1].tolist() == [[10, 20], [15, 20], [15, 26], [10, 26]]
    assert [len(p) for p in texts.polygons] == [4, 4, 3, 3]
    assert texts.annotation.tolist() == [0, 1, 2, 2]
    texts = TextInstances.from_annotations([])
    assert len(texts) == 0 and texts.ignore.dtype == bool and texts.bounds().shape == (0, 4)
    for method in ("repaired", "legible", "captions", "places", "to_annotations"):
        assert len(getattr(texts, method)()) in (0, 2)
    assert len(texts.cut((9, 9))) == len(texts.visible(shapely.box(0, 0, 9, 9))) == 0


def test_faulty_rings_are_repaired_or_dropped_and_counted():
    bow_tie = [0, 0, 10, 10, 10, 0, 0, 10]  # four corners in a wrong order
    flat = [0, 0, 5, 5, 9, 9]
    not_finite = [0, 0, 5, float("nan"), 9, 9]
    texts, faults = TextInstances.from_annotations(
        [{"segmentation": [r], "iscrowd": 0} for r in (bow_tie, flat, [1, 2, 3, 4], not_finite)]
    ).repaired()
    assert faults == 4 and len(texts) == 1
    assert shapely.Polygon(texts.polygons[0]).area == pytest.approx(100)


def test_mappers_and_protocols_repair_alike():
    rng = np.random.default_rng(0)
    for _ in range(200):
        ring = rng.integers(0, 12, size=(rng.integers(3, 9), 2)).astype(np.float64)
        faults = Counter()
        (shape,) = to_shapes([ring], faults)
        texts, _ = TextInstances([ring]).repaired()
        assert sum(shapely.Polygon(p).area for p in texts.polygons) == shape.area
        # Cut off left of and above 6.
        left = TextInstances([ring - 6]).cut((40, 40))
        if (ring.min(axis=0) < 6).any():
            visible = shape.intersection(shapely.box(6, 6, 46, 46)).area
            assert sum(shapely.Polygon(p).area for p in left.polygons) == pytest.approx(visible)


def test_clipping_is_exact():
    polygons = [square(5, 5), square(-4, 5), square(95, 45), square(-6, 5), square(120, 5)]
    kept = TextInstances(polygons, words=list("abcde")).cut((50, 100), min_visible=0.5)
    assert kept.polygons[0] is polygons[0]
    areas = [shapely.Polygon(p).area for p in kept.polygons]
    assert areas == pytest.approx([100, 60, 25, 40])
    assert kept.ignore.tolist() == [False, False, True, True]
    assert kept.words == list("abcd") and kept.annotation.tolist() == [0, 1, 2, 3]
    for polygon in kept.polygons:
        assert (polygon >= 0).all() and (polygon <= (100, 50)).all()


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("corner", [(-4, 5), (94, 5), (40, -4), (40, 44)])
def test_cut_quads_keep_their_reading_direction(corner, mirrored):
    """From the first point on to the right, whichever side is cut off."""
    quad = square(*corner)[[0, 1, 2, 3] if not mirrored else [1, 0, 3, 2]]
    (kept,) = TextInstances([quad]).cut((50, 100)).polygons
    np.testing.assert_allclose(kept, np.clip(quad, 0, (100, 50)))


def test_flags_survive_and_the_limit_is_a_setting():
    texts = TextInstances([square(-9, 5), square(-9, 20)], [False, True])
    kept = texts.cut((50, 100), min_visible=0.1)
    assert kept.ignore.tolist() == [False, True]
    assert shapely.Polygon(kept.polygons[0]).area == pytest.approx(10)


def test_text_cut_in_two_is_ignored_in_both():
    arch = np.array(
        [(0, -30), (60, -30), (60, 20), (50, 20), (50, -1), (10, -1), (10, 20), (0, 20)]
    )
    characters = [np.arange(16.0).reshape(2, 4, 2)]
    texts = TextInstances([arch.astype(float)], words=["ab"], characters=characters)
    kept = texts.cut((50, 100), 0.0)
    assert kept.ignore.tolist() == [True, True]
    assert sorted(shapely.Polygon(p).area for p in kept.polygons) == pytest.approx([200, 200])
    assert [len(quads) for quads in kept.characters] == [2, 0]
    assert kept.captions() == ["ab"]  # of one annotation still


def test_touching_the_border_from_outside_is_outside():
    kept = TextInstances([square(-10, 5), square(100, 5)]).cut((50, 100))
    assert len(kept) == 0 and kept.ignore.shape == (0,)


def test_annotations_come_back():
    annotations = [
        {
            "bbox": [0.0, 0.0, 8.0, 4.0],
            "bbox_mode": BoxMode.XYXY_ABS,
            "category_id": 0,
            "segmentation": [
                [0.0, 0.0, 8.0, 0.0, 8.0, 4.0, 0.0, 4.0],
                [2.0, 1.0, 3.0, 1.0, 3.0, 2.0],
            ],
            "iscrowd": 0,
            "text": "a b",
            "characters": [[0, 0, 3, 0, 3, 4, 0, 4], [4, 0, 8, 0, 8, 4, 4, 4]],
            "confidence": 0.75,
        },
        {"category_id": 0, "iscrowd": 1, "text": "somewhere"},
    ]
    texts = TextInstances.from_annotations(annotations)
    assert [len(quads) for quads in texts.characters] == [2, 0, 0]
    assert texts.confidence.tolist() == [0.75, 0.75, 1]
    assert texts.mapped(lambda points: points)[[0, 2]].cut((9, 9)).confidence.tolist() == [0.75, 1]
    assert texts.to_annotations() == annotations
    # Without the first polygon the second has the characters.
    assert [len(quads) for quads in texts[1:].characters] == [2, 0]
    again = pickle.loads(pickle.dumps(texts))
    assert again.to_annotations() == annotations


def test_everything_is_mapped_and_selected_together():
    quads = square(1, 2, 3.0)[None]
    texts = TextInstances(
        [square(0, 0), square(20, 0)], [False, True], ["a", "b"], [quads, quads[:0]]
    )
    moved = texts.mapped(lambda points: 2 * points + (1, 0))
    np.testing.assert_array_equal(moved.polygons[1], 2 * square(20, 0) + (1, 0))
    np.testing.assert_array_equal(moved.characters[0], 2 * quads + (1, 0))
    np.testing.assert_array_equal(texts.polygons[1], square(20, 0))
    for item in (np.array([False, True]), [1], slice(1, None)):
        (word,), (ignore,), (index,) = moved[item].words, moved[item].ignore, moved[item].annotation
        assert (word, ignore, index) == ("b", True, 1)
    np.testing.assert_array_equal(moved.bounds()[1], (41, 0, 61, 20))


def test_lengths_must_match():
    with pytest.raises(ValueError, match="1 polygons but 2 of 'ignore'"):
        TextInstances([square(0, 0)], [False, True])
    with pytest.raises(ValueError, match="1 polygons but 0 of 'words'"):
        TextInstances([square(0, 0)], words=[])


def test_words_of_an_image():
    words = ["Stop", " hidden", " bus ", "", "bus", "###", "."]
    texts = TextInstances([square(0, 0)] * 7, np.arange(7) == 1, words)
    assert texts.legible().captions() == ["Stop", "bus", "bus", "."]


def test_words_that_read_the_same_share_their_places():
    annotations = [
        {"text": "The", "segmentation": [[0, 0, 1, 0, 1, 1]]},
        {"text": "the", "segmentation": [[5, 5, 6, 5, 6, 6], [7, 7, 8, 7, 8, 8]]},
        {"text": "end"},
    ]
    texts = TextInstances.from_annotations(annotations)
    assert texts.captions() == ["The", "the", "end"]
    places = texts.places()
    assert [len(rings) for rings in places] == [3, 3, 0]
    assert places[0][1].tolist() == [[5, 5], [6, 5], [6, 6]]


@pytest.mark.parametrize(
    "box, seen",
    [
        ((10, 10, 40, 20), True),
        ((10.1, 10.1, 10.2, 10.2), True),  # small, but inside
        ((-30, 10, -2, 20), False),
        ((105, 10, 130, 20), False),
        ((10, -30, 40, 0), False),
        ((10, 60, 40, 80), False),
        ((-30, 10, 0.4, 20), False),  # the first pixels' centres are at 0.5
        ((-30, 10, 0.6, 20), True),
        ((99.6, 10, 140, 20), False),
        ((99.4, 10, 140, 20), True),
        ((-30, -30, 130, 90), True),  # larger than the image
    ],
)
def test_words_without_a_visible_pixel(box, seen):
    picture = shapely.box(0, 0, 100, 60)
    x0, y0, x1, y1 = box
    ring, outside = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], float), square(200, 0)
    assert bool(len(TextInstances([ring]).visible(picture))) == seen
    # Of two polygons of one annotation, one is enough.
    two = TextInstances([outside, ring], annotation=np.zeros(2, int))
    assert len(two.visible(picture)) == 2 * seen
    nowhere = TextInstances([ring, np.zeros((0, 2))], words=["a", "b"]).visible(picture)
    assert nowhere.words == (["a", "b"] if seen else ["b"])


def test_visible_is_of_the_polygon_not_of_its_box():
    """The box of this diamond meets the image, the diamond itself does not."""
    diamond = np.array([(-20, 5), (5, -20), (-20, -45), (-45, -20)], float)
    assert not len(TextInstances([diamond]).visible(shapely.box(0, 0, 100, 60)))
