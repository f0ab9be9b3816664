"""Brightness, contrast and saturation against detectron2's own, in floats."""

import numpy as np
import pytest
from detectron2.data import transforms as T

from vlpt_d2.data.transforms import colour


@pytest.mark.parametrize("name", ["RandomBrightness", "RandomContrast", "RandomSaturation"])
@pytest.mark.parametrize("image_format", ["RGB", "BGR"])
def test_same_draws_and_values_as_detectron2(name, image_format):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    options = {"image_format": image_format} if name == "RandomSaturation" else {}
    ours = getattr(colour, name)(0.2, 1.8, **options)
    theirs = getattr(T, name)(0.2, 1.8)
    for seed in range(5):
        np.random.seed(seed)
        found = ours.get_transform(image).apply_image(image.copy())
        drawn = np.random.random()
        np.random.seed(seed)
        # Theirs takes the channels as RGB.
        plain = image if image_format == "RGB" else image[:, :, ::-1]
        expected = theirs.get_transform(plain).apply_image(plain.copy())
        assert np.random.random() == drawn
        expected = expected if image_format == "RGB" else expected[:, :, ::-1]
        assert np.abs(found.astype(int) - expected).max() <= 1
        assert np.abs(found.astype(int) - image).max() > 5
