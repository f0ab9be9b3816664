"""PSENet's target maps against hand-drawn cases and against offset polygons of shapely."""

import numpy as np
import pytest
import shapely

from vlpt_d2.modeling.detection.psenet.labels import draw_psenet_labels, kernel_scales
from vlpt_d2.structures import TextInstances

CURVED = [(20, 60), (45, 40), (80, 32), (115, 42), (138, 62), (126, 82), (108, 66), (80, 56)]
CURVED += [(52, 64), (32, 82)]
POLYGONS = {
    "rectangle": [(10, 10), (90, 10), (90, 50), (10, 50)],
    "quad": [(12.4, 20.3), (101.7, 9.6), (108.2, 44.1), (16.8, 60.9)],
    "small": [(30.2, 30.7), (58.4, 33.1), (57.5, 42.6), (29.3, 40.2)],
    "counter-clockwise": [(12.4, 20.3), (16.8, 60.9), (108.2, 44.1), (101.7, 9.6)],
    "curved": CURVED,
    "more than 20 px": [(3.4, 2.2), (140.3, 4.1), (143.7, 96.5), (6.2, 95.9)],
    "triangle": [(10.5, 12.5), (100.25, 20.125), (40.5, 80.75)],
}


def draw_one(polygon, size=(100, 150), ignore=False, **settings):
    return draw_psenet_labels(
        TextInstances([np.asarray(polygon, np.float32)], [ignore]), size, **settings
    )


def slow_maps(polygon, size, scales, max_shrink=20.0):
    """Each kernel as a polygon offset inward, asked for every pixel's centre."""
    shape = shapely.Polygon(np.asarray(polygon, np.float32).astype(float))
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    maps = [shapely.contains_xy(shape, x, y)]
    sure = np.ones(size, bool)
    for scale in scales[1:]:
        offset = min(shape.area * (1 - scale**2) / shape.length, max_shrink)
        shrunk = shape.buffer(-offset, quad_segs=64)
        maps.append(shapely.contains_xy(shrunk, x, y))
        # A centre on the very border is either's.
        sure &= shapely.distance(shrunk.boundary, shapely.points(x, y)) > 5e-3
    return np.array(maps), sure


@pytest.mark.parametrize("name", POLYGONS)
@pytest.mark.parametrize(("kernels", "min_scale"), [(7, 0.4), (7, 0.7), (3, 0.5)])
def test_maps_equal_offset_polygons(name, kernels, min_scale):
    maps = draw_one(POLYGONS[name], kernels=kernels, min_scale=min_scale)
    expected, sure = slow_maps(POLYGONS[name], (100, 150), np.linspace(1, min_scale, kernels))
    assert sure.mean() > 0.98 and all(m.any() for m in expected)
    np.testing.assert_array_equal(maps["text"] > 0, expected[0])
    np.testing.assert_array_equal(maps["kernels"][:, sure] > 0, expected[1:, sure])
    assert maps["text_mask"].all()
    assert {m.dtype.name for m in maps.values()} == {"uint8"}


def test_hand_drawn_rectangle():
    # 40 x 20: A / L = 800 / 120. Scales 1, 0.7, 0.4: offsets 3.4 and 5.6.
    maps = draw_one([(10, 10), (50, 10), (50, 30), (10, 30)], (40, 64), kernels=3)
    expected = np.zeros((3, 40, 64), np.uint8)
    expected[0, 10:30, 10:50] = 1
    expected[1, 13:27, 13:47] = 1  # [13.4, 46.6] x [13.4, 26.6]: 13.5 is within
    expected[2, 16:24, 16:44] = 1  # [15.6, 44.4] x [15.6, 24.4]: 15.5 is not
    np.testing.assert_array_equal(maps["text"], expected[0])
    np.testing.assert_array_equal(maps["kernels"], expected[1:])


def test_shrinking_is_capped():
    # 200 x 100: A / L = 33.3, so the last offset would be 28 without the cap.
    polygon = [(10, 10), (210, 10), (210, 110), (10, 110)]
    maps = draw_one(polygon, (120, 220))
    assert maps["kernels"][-1].sum() == 160 * 60
    maps = draw_one(polygon, (120, 220), max_shrink=1e9)
    assert maps["kernels"][-1].sum() == 144 * 44


def test_scales():
    np.testing.assert_allclose(kernel_scales(7, 0.4), [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    with pytest.raises(ValueError, match="KERNELS"):
        kernel_scales(1, 0.4)
    with pytest.raises(ValueError, match="MIN_SCALE"):
        draw_one(POLYGONS["quad"], min_scale=0.0)


def test_vanishing_kernels_are_the_whole_text():
    # Offsets 0.3, 0.6, 0.9, 1.0, 1.1 and 1.1; the two rows of pixels are 0.5 and 0.9 deep.
    maps = draw_one([(10, 10), (60, 10), (60, 12.4), (10, 12.4)], (70, 70), min_scale=0.01)
    assert maps["kernels"].sum(axis=(1, 2)).tolist() == [100, 48, 48, 100, 100, 100]
    np.testing.assert_array_equal(maps["kernels"][-1], maps["text"])
    # One pixel high: text, with kernels as large.
    maps = draw_one([(10, 10.2), (40, 10.2), (40, 11.2), (10, 11.2)], (70, 70))
    assert maps["text"].sum() == 30 and (maps["kernels"][-1] == maps["text"]).all()


def test_ignored_texts_are_masked_also_under_others():
    text = [(10, 10), (60, 10), (60, 30), (10, 30)]
    ignored = [(40, 5), (80, 5), (80, 35), (40, 35)]
    for order in (1, -1):
        polygons = [np.asarray(p, np.float32) for p in (text, ignored)][::order]
        maps = draw_psenet_labels(TextInstances(polygons, [False, True][::order]), (40, 100))
        expected = np.ones((40, 100), np.uint8)
        expected[5:35, 40:80] = 0
        np.testing.assert_array_equal(maps["text_mask"], expected)
        np.testing.assert_array_equal(maps["text"], draw_one(text, (40, 100))["text"])
    alone = draw_one(ignored, (40, 100), ignore=True)
    assert not alone["text"].any() and not alone["kernels"].any()


def test_neighbours_and_cut_texts():
    first = np.array([(10, 10), (50, 10), (50, 30), (10, 30)], np.float32)
    second = first + np.array((40, 5), np.float32)  # they touch
    beyond = first + np.array((75, 0), np.float32)  # half outside
    alone = [draw_one(p, (40, 100)) for p in (first, second, beyond)]
    together = draw_psenet_labels(TextInstances([first, second, beyond]), (40, 100))
    for name in ("text", "kernels"):
        np.testing.assert_array_equal(
            together[name], alone[0][name] | alone[1][name] | alone[2][name]
        )
    assert alone[2]["text"].sum() == 15 * 20
    assert alone[2]["kernels"][-1, :, 99].any()  # the image's border is none of the text's


def test_nothing_to_draw():
    for polygons in ([], [np.array([(200, 200), (250, 200), (250, 250)], np.float32)]):
        maps = draw_psenet_labels(TextInstances(polygons), (33, 47))
        assert maps["text"].shape == maps["text_mask"].shape == (33, 47)
        assert maps["kernels"].shape == (6, 33, 47) and maps["text_mask"].all()
        assert not maps["text"].any() and not maps["kernels"].any()


def test_real_texts(icdar2015_root):
    """Kernels lie within each other, texts within the polygons' boxes, on real quadrilaterals."""
    from helpers.round_trip import icdar2015_texts

    seen = 0
    for image in icdar2015_texts(icdar2015_root)[:8]:
        care = [p for p, skip in zip(image.polygons, image.ignore) if not skip]
        for polygon in care:
            maps = draw_one(polygon, image.image_size)
            areas = [maps["text"].sum(), *maps["kernels"].sum(axis=(1, 2))]
            assert areas[0] == pytest.approx(shapely.Polygon(polygon).area, rel=0.1, abs=30)
            if areas[-1] < areas[0]:
                assert areas == sorted(areas, reverse=True)
                seen += 1
    assert seen > 12
