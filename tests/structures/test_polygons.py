"""Polygons: indexing, concatenation and geometry inside detectron2's Instances."""

import copy
import pickle

import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances
from shapely.geometry import Polygon

from vlpt_d2.structures import Polygons

SQUARE = [0, 0, 4, 0, 4, 4, 0, 4]
TRIANGLE = [[10.0, 10.0], [16.0, 10.0], [10.0, 14.0]]
FIVE = np.array([[1, 1], [6, 0], [8, 3], [5, 7], [0, 5]], dtype=np.float64)


@pytest.fixture
def polygons() -> Polygons:
    return Polygons([SQUARE, TRIANGLE, FIVE])


def _sizes(polygons):
    return [len(p) for p in polygons]


def test_iterates_as_float32_points(polygons):
    assert len(polygons) == 3
    assert all(p.dtype == np.float32 and p.shape[1] == 2 for p in polygons)
    np.testing.assert_array_equal(next(iter(polygons)), [[0, 0], [4, 0], [4, 4], [0, 4]])


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (1, [3]),
        (-1, [5]),
        (np.int64(0), [4]),
        (torch.tensor(2), [5]),
        (slice(1, None), [3, 5]),
        (slice(2, None, 3), [5]),
        (torch.tensor([True, False, True]), [4, 5]),
        (np.array([False, True, False]), [3]),
        (torch.tensor([2, 0, 2]), [5, 4, 5]),
        ([0, -1], [4, 5]),
        (torch.zeros(0, dtype=torch.long), []),
        ([], []),
        (torch.zeros(3, dtype=torch.bool), []),
    ],
)
def test_indexing(polygons, item, expected):
    selected = polygons[item]
    assert isinstance(selected, Polygons)
    assert _sizes(selected) == expected


@pytest.mark.parametrize("item", [3, [5], torch.tensor([True]), torch.tensor([0.5]), [[0], [1]]])
def test_bad_indices(polygons, item):
    with pytest.raises(IndexError):
        polygons[item]


@pytest.mark.parametrize("bad", [[0, 0, 1, 1], [0, 0, 1], np.zeros((3, 3)), []])
def test_bad_shapes(bad):
    with pytest.raises(ValueError, match="polygon 1 "):
        Polygons([SQUARE, bad])


def test_area_and_boxes_agree_with_shapely(polygons):
    shapes = [Polygon(p) for p in polygons]
    np.testing.assert_allclose(polygons.area(), [s.area for s in shapes], rtol=1e-6)
    np.testing.assert_allclose(polygons.get_boxes().tensor, [s.bounds for s in shapes])
    far = Polygons([np.array(SQUARE).reshape(4, 2) + 100000])
    assert far.area().item() == 16


def test_empty():
    empty = Polygons([])
    assert len(empty) == 0
    assert empty.get_boxes().tensor.shape == (0, 4)
    assert empty.area().shape == (0,)
    assert len(Polygons.cat([])) == 0
    assert len(empty[torch.zeros(0, dtype=torch.bool)]) == 0


def test_inside_instances(polygons):
    instances = Instances((20, 20))
    instances.scores = torch.tensor([0.9, 0.5, 0.7])
    instances.pred_boxes = Boxes(torch.zeros(3, 4))
    instances.pred_polygons = polygons
    assert _sizes(instances[instances.scores > 0.6].pred_polygons) == [4, 5]
    assert _sizes(instances[instances.scores.argsort()].pred_polygons) == [3, 5, 4]
    assert _sizes(instances[1].pred_polygons) == [3]
    assert _sizes(instances[-1].pred_polygons) == [5]
    joined = Instances.cat([instances, instances[:1]]).to("cpu")
    assert _sizes(joined.pred_polygons) == [4, 3, 5, 4]


def test_owns_its_points():
    source = FIVE.astype(np.float32)
    polygons = Polygons([source])
    source[:] = 0
    assert polygons.area().item() > 0
    clone = polygons.clone()
    next(iter(clone))[:] = 0
    assert polygons.area().item() > 0


def test_pickles_and_copies(polygons):
    for other in (pickle.loads(pickle.dumps(polygons)), copy.deepcopy(polygons)):
        assert _sizes(other) == [4, 3, 5]
