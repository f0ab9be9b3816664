import itertools

import cv2
import numpy as np
import pytest
import shapely
from shapely import Polygon

from vlpt_d2.data.rendering import TextRenderer, render_sample, resolve_settings

# Without the pip packages of fonts, so that the tests need nothing but the core requirements.
_FONTS = {"fonts": ("matplotlib",)}


def _renderer(preset="default", **overrides):
    return TextRenderer(resolve_settings(preset, {**_FONTS, **overrides}))


@pytest.fixture(scope="module")
def renderings():
    renderer = _renderer(curved=0.5, lines_per_block=(1, 1))
    return [renderer.render(7, index, keep_layers=True) for index in range(8)]


def test_polygons_hold_all_ink_of_their_word(renderings):
    for rendering in renderings:
        for polygon, layer in zip(rendering.polygons, rendering.layers, strict=True):
            rows, columns = np.nonzero(layer > 127)
            inside = shapely.contains_xy(Polygon(polygon).buffer(0.75), columns + 0.5, rows + 0.5)
            assert inside.all()


def test_polygons_are_tight_around_their_word(renderings):
    seen = {"straight": 0, "curved": 0}
    for rendering in renderings:
        for polygon, layer in zip(rendering.polygons, rendering.layers):
            rows, columns = np.nonzero(layer > 16)
            ink = shapely.points(columns + 0.5, rows + 0.5)
            count = len(polygon) // 2
            sides = [polygon[:count], polygon[count:]]
            sides += [polygon[[count - 1, count]], polygon[[-1, 0]]]
            for side in sides:
                # Glyphs fade out over a pixel at their edge, and thin ones are fainter.
                assert shapely.distance(shapely.LineString(side), ink).min() < 2.0
            seen["straight" if len(polygon) == 4 else "curved"] += 1
    assert min(seen.values()) >= 5, seen


def test_polygons_are_valid_clockwise_and_inside_the_image(renderings):
    for rendering in renderings:
        height, width = rendering.image.shape[:2]
        for polygon in rendering.polygons:
            assert Polygon(polygon).is_valid
            # Counter-clockwise where y points up is clockwise on the screen, where it points down.
            assert shapely.LinearRing(polygon).is_ccw
            assert (polygon >= 0).all()
            assert (polygon <= (width, height)).all()


@pytest.mark.parametrize("preset", ["default", "quickstart", "quickstart_detection"])
def test_no_two_words_overlap(preset):
    more = {"words_per_image": (2, 4), "text_height": (0.1, 0.2)} if preset == "quickstart" else {}
    renderer = _renderer(preset, curved=0.3, **more)
    pairs = 0
    for index in range(12):
        polygons = [Polygon(p) for p in renderer.render(3, index).polygons]
        for first, second in itertools.combinations(polygons, 2):
            assert not first.intersects(second)
            pairs += 1
    assert pairs > 20


def test_text_starts_at_the_top_left_of_its_polygon():
    # "L" has its ink at the left, "J" at the right and the bottom: unrotated text must agree.
    renderer = _renderer(
        word_list=("LLLL",), case=(1, 0, 0), numbers=0.0, punctuation=0.0, curved=0.0, rotation=25.0
    )
    rendering = renderer.render(0, 1, keep_layers=True)
    assert rendering.words
    for polygon, layer in zip(rendering.polygons, rendering.layers):
        target = np.float32([[0, 0], [80, 0], [80, 40], [0, 40]])
        matrix = cv2.getPerspectiveTransform(np.float32(polygon - 0.5), target)
        upright = cv2.warpPerspective(layer, matrix, (80, 40))
        # L's stem runs along the left edge, its foot along the bottom.
        assert upright[:, :8].mean() > 1.5 * upright[:, -8:].mean()
        assert upright[-8:].mean() > 1.5 * upright[:8].mean()


@pytest.mark.parametrize("curved", [0.0, 1.0])
def test_characters_divide_their_word(curved):
    """One quadrilateral for each, side by side; together they hold the word's ink."""
    renderer = _renderer("quickstart_detection", curved=curved, lines_per_block=(1, 1))
    seen = 0
    for index in range(6):
        rendering = renderer.render(0, index, keep_layers=True)
        parts = zip(rendering.words, rendering.characters, rendering.layers, strict=True)
        for word, quads, layer in parts:
            assert quads.shape == (len(word), 4, 2)
            np.testing.assert_allclose(quads[:-1, 1:3], quads[1:, [0, 3]])
            inside = np.zeros_like(layer)
            for quad in quads:
                # In 1/16 pixel, from the centre of the first one.
                points = np.round(16 * (quad - 0.5)).astype(np.int32)
                cv2.fillConvexPoly(inside, points, 1, shift=4)
            # On an arc, the four corners of a character cut a little off its round side.
            assert layer[inside > 0].sum() > (0.9 if curved else 0.98) * layer.sum()
            seen += 1
    assert seen > 6


def test_same_seed_and_index_give_the_same_image_whatever_came_before():
    spec = {"preset": "quickstart_detection", "settings": {}, "seed": 5, "index": 17}
    image, texts = render_sample(spec)
    fresh = TextRenderer(resolve_settings("quickstart_detection"))
    fresh.render(5, 3)
    again = fresh.render(5, 17)
    np.testing.assert_array_equal(image, again.image)
    assert texts.words == again.words
    assert all(map(np.array_equal, texts.polygons, again.polygons))
    for other in ({"seed": 6}, {"index": 18}):
        assert (render_sample({**spec, **other})[0] != image).any()


def test_fingerprint_tells_fonts_and_words_apart():
    prints = {
        _renderer("quickstart").fingerprint,
        _renderer("quickstart", font_names=("DejaVuSerif",)).fingerprint,
        _renderer("quickstart", word_list=("exit",)).fingerprint,
    }
    assert len(prints) == 3
    assert _renderer("quickstart", jpeg=1.0).fingerprint in prints


def test_global_random_state_is_neither_read_nor_moved():
    np.random.seed(0)
    expected = np.random.random()
    np.random.seed(0)
    render_sample({"preset": "quickstart", "seed": 0, "index": 0})
    assert np.random.random() == expected


def test_samples_have_words_that_count():
    image, texts = render_sample({"preset": "quickstart", "seed": 0, "index": 4})
    assert image.shape == (96, 96, 3)
    assert image.dtype == np.uint8
    assert len(texts) and all(texts.words) and not texts.ignore.any()


def test_numbers_of_words_are_those_asked_for():
    renderer = _renderer("quickstart", words_per_image=(1, 2))
    counts = [len(renderer.render(0, i).words) for i in range(40)]
    assert set(counts) == {1, 2}
    empty = _renderer("quickstart", empty_images=1.0).render(0, 0)
    assert empty.words == [] and empty.image.shape == (96, 96, 3)


def test_text_heights_lie_in_their_range():
    renderer = _renderer(
        "quickstart",
        size=(160, 160),
        text_height=(0.15, 0.2),
        rotation=0.0,
        perspective=0.0,
        shear=0.0,
        word_list=("H", "TEE"),
        case=(0, 0, 1),
    )
    heights = []
    for index in range(20):
        heights += [p[3, 1] - p[0, 1] for p in renderer.render(0, index).polygons]
    # Capitals alone: the polygon's height is that of a capital, up to the mask's whole pixels.
    assert min(heights) > 0.15 * 160 - 2
    assert max(heights) < 0.2 * 160 + 2


def test_words_are_painted_with_contrast():
    renderer = _renderer("quickstart", shadow=0.0, noise=0.0, lighting=0.0)
    for index in range(8):
        rendering = renderer.render(1, index, keep_layers=True)
        grey = cv2.cvtColor(rendering.image, cv2.COLOR_RGB2GRAY).astype(float)
        for polygon, layer in zip(rendering.polygons, rendering.layers):
            area = np.zeros(grey.shape, np.uint8)
            cv2.fillPoly(area, [np.int32(polygon)], 1)
            ink, ground = grey[layer > 250], grey[(area == 1) & (layer < 5)]
            # Asked for 0.5 of 255; clouds vary around their mean.
            assert abs(ink.mean() - ground.mean()) > 0.4 * 255


def test_reading_order_sorts_words_from_top_to_bottom():
    renderer = _renderer("quickstart", size=(160, 160), words_per_image=(4, 4))
    for index in range(6):
        tops = [p[:, 1].mean() for p in renderer.render(0, index).polygons]
        assert tops == sorted(tops)
