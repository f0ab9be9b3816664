import numpy as np
import pytest

from vlpt_d2.data.rendering import resolve_settings
from vlpt_d2.data.rendering.colours import contrasting_colour, lightness, random_colour
from vlpt_d2.data.rendering.effects import apply_effects

_NONE = dict.fromkeys(("lighting", "colour_shift", "blur", "motion_blur", "noise", "jpeg"), 0.0)


def _apply(image, **overrides):
    settings = resolve_settings("default", {**_NONE, **overrides})
    return apply_effects(image, np.random.default_rng(0), settings)


def test_no_effect_leaves_the_image_alone():
    image = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    np.testing.assert_array_equal(_apply(image), image)


@pytest.mark.parametrize("name", list(_NONE))
def test_each_effect_changes_the_image_but_not_its_form(name):
    image = np.zeros((64, 48, 3), np.uint8)
    image[20:40, 10:30] = (200, 150, 100)
    changed = _apply(image, **{name: 1.0})
    assert changed.shape == image.shape and changed.dtype == np.uint8
    assert (changed != image).any()
    # The bright rectangle stays where it was.
    bright = np.argwhere(changed.mean(axis=2) > 0.5 * changed.mean(axis=2).max())
    np.testing.assert_allclose(bright.mean(axis=0), (29.5, 19.5), atol=1.0)


def test_noise_has_the_deviation_asked_for_and_no_bias():
    image = np.full((300, 1100, 3), 128, np.uint8)
    noise = _apply(image, noise=1.0, noise_std=(9.0, 9.0)).astype(float) - 128
    assert noise.mean() == pytest.approx(0, abs=0.3)
    # Red holds the shared noise too: 0.8 + 0.6 of it; green and blue are the usual sum of both.
    assert noise[..., 1].std() == pytest.approx(9, rel=0.05)


def test_contrasting_colours_keep_their_distance():
    rng = np.random.default_rng(0)
    for _ in range(300):
        background = random_colour(rng)
        contrast = rng.uniform(0, 0.5)
        colour = contrasting_colour(rng, background, contrast)
        assert (colour >= -1e-6).all() and (colour <= 255 + 1e-6).all()
        assert abs(lightness(colour) - lightness(background)) >= contrast - 1e-6
