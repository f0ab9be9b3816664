"""Normalised and padded batches against detectron2's ImageList, image by image."""

import numpy as np
import pytest
import torch
from detectron2.structures import ImageList
from torch import nn

from vlpt_d2.data.collate import CollatedBatch
from vlpt_d2.modeling.pixels import ImageModel, pad_images, rgb_picture

MEAN = torch.tensor([100.0, 110.0, 120.0]).view(3, 1, 1)
STD = torch.tensor([50.0, 60.0, 70.0]).view(3, 1, 1)


@pytest.mark.parametrize("divisibility", [0, 32])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize(
    "sizes", [[(64, 96)], [(64, 96)] * 3, [(40, 70)] * 3, [(40, 70), (64, 33)]]
)
def test_batches_equal_images_normalised_one_by_one(sizes, dtype, divisibility):
    images = [torch.randint(0, 256, (3, *size)).to(dtype) for size in sizes]
    kept = [image.clone() for image in images]
    expected = ImageList.from_tensors([(x.float() - MEAN) / STD for x in images], divisibility)
    collated = [s["image"] for s in CollatedBatch([{"image": x} for x in images]).samples()]
    backbone = nn.Identity()
    backbone.size_divisibility = divisibility
    model = ImageModel(backbone, MEAN.flatten().tolist(), STD.flatten().tolist())
    for given in (images, collated):
        found = model.preprocess_images([{"image": x} for x in given])
        assert torch.equal(found.tensor, expected.tensor)
        assert [tuple(s) for s in found.image_sizes] == [tuple(s) for s in expected.image_sizes]
    assert all(torch.equal(a, b) for a, b in zip(collated, kept))


def test_padding_has_the_value_of_its_channel():
    padded = pad_images([torch.zeros(3, 2, 4), torch.ones(3, 3, 3)], MEAN, 4)
    assert padded.tensor.shape == (2, 3, 4, 4)
    for image, value, (h, w) in zip(padded.tensor, (0, 1), ((2, 4), (3, 3))):
        assert (image[:, :h, :w] == value).all()
        assert torch.equal(image[:, h:], MEAN.expand(3, 4 - h, 4))
        assert torch.equal(image[:, :h, w:], MEAN.expand(3, h, 4 - w))


def test_pictures_are_rgb_whatever_the_models_order():
    rgb = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    for order, image in (("RGB", rgb), ("BGR", rgb[:, :, ::-1])):
        for given in (image, torch.from_numpy(image.transpose(2, 0, 1).copy())):
            picture = rgb_picture(given, order)
            assert picture.tolist() == rgb.tolist() and picture.flags.c_contiguous
