"""TextField's neck, head and loss by hand, odd sizes, empty targets."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from detectron2.layers import ShapeSpec
from helpers.detectors import detector_cfg

from vlpt_d2.modeling.detection import build_label_function, build_text_head
from vlpt_d2.modeling.detection.textfield.head import direction_loss
from vlpt_d2.modeling.detection.textfield.neck import TextFieldNeck
from vlpt_d2.structures import TextInstances

SHAPES = {f"res{i + 2}": ShapeSpec(channels=8, stride=4 * 2**i) for i in range(4)}


def small_head(**opts):
    cfg = detector_cfg("TextFieldHead", MODEL__TEXTFIELD__NECK_CHANNELS=8, **opts)
    return build_text_head(cfg, SHAPES)


def features(size=(64, 96), batch=2):
    return {
        name: torch.randn(batch, 8, *(-(-s // shape.stride) for s in size))
        for name, shape in SHAPES.items()
    }


def test_neck_by_hand():
    """With identities for convolutions and no norm, levels are upsampled and side by side."""
    neck = TextFieldNeck([ShapeSpec(channels=1, stride=s) for s in (4, 8)], 1, norm="")
    for level in neck.levels:
        for block in level:
            torch.nn.init.zeros_(block[0].weight)
            middle = block[0].kernel_size[0] // 2
            block[0].weight.data[:, :, middle, middle] = 1
    assert [block[0].kernel_size[0] for block in neck.levels[0]] == [5, 1, 1]
    fine, coarse = torch.rand(2, 1, 7, 9), torch.rand(2, 1, 4, 5)
    up = F.interpolate(coarse, size=(7, 9), mode="bilinear", align_corners=False)
    torch.testing.assert_close(neck([fine, coarse]), torch.cat([fine, up], dim=1))
    assert not neck([-fine, -coarse]).any() and neck.out_channels == 2


def test_one_cell_gives_the_directions_of_four():
    """Channels are x and y, each of the upper left, upper right, lower left and lower right."""
    head = small_head().eval()
    head.direction.weight.data.zero_()
    head.direction.bias.data.copy_(torch.arange(8.0))
    (field,) = head(features(batch=1)).values()
    assert field.shape == (1, 2, 32, 48)
    assert field[0, :, 10:12, 20:22].tolist() == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]


def test_decode_leaves_out_the_padding():
    head = small_head()
    head.decoding["min_area"] = 0.0
    rings = [np.float32([(8, 16), (40, 16), (40, 32), (8, 32)])]
    rings += [np.add(ring, (0, 34)) for ring in rings]  # in the padding
    labels = build_label_function(detector_cfg("TextFieldHead"))
    maps = torch.from_numpy(labels(TextInstances(rings), (80, 96))["direction"])
    found = head.decode({"direction": maps}, (49, 77))
    assert len(found.polygons) == 1 and found.scores.tolist() == [1]
    assert sorted(found.polygons[0].tolist()) == [[8, 16], [8, 32], [40, 16], [40, 32]]


def test_loss_by_hand():
    """Two images: text of weights 2 and 0.5 with the three hardest others each; without text."""
    field = torch.zeros(2, 2, 1, 9)
    field[0, 0, 0] = torch.tensor([0.5, 0.0, 0.9, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    field[1, 1, 0, :4] = 0.3
    direction = torch.zeros(2, 2, 1, 9, dtype=torch.float16)
    direction[0, 0, 0, 0], direction[0, 1, 0, 1] = 1, 1
    weight, mask = torch.zeros(2, 1, 9), torch.ones(2, 1, 9, dtype=torch.uint8)
    weight[0, 0, :2] = torch.tensor([2.0, 0.5])
    mask[0, 0, 2] = mask[1, 0, 8] = 0
    first = 2 * 0.25 + 0.5 * 1 + (0.36 + 0.25 + 0.16 + 0.09 + 0.04 + 0.01)
    expected = (first / 8.5 + 4 * 0.09 / 8) / 2
    assert direction_loss(field, direction, weight, mask).item() == pytest.approx(expected)
    field[0, 0, 0, 4:] = 0
    # The hardest of the others do not depend on the text's errors: 0.1 and five zeros.
    expected = ((1 + 0.01) / 8.5 + 4 * 0.09 / 8) / 2
    assert direction_loss(field, direction, weight, mask).item() == pytest.approx(expected)


@pytest.mark.parametrize("case", ["no text", "all ignored", "one cell"])
@pytest.mark.parametrize("autocast", [False, True])
def test_losses_are_finite(case, autocast):
    head = small_head()
    targets = {
        "direction": torch.zeros(2, 2, 32, 48, dtype=torch.float16),
        "text_weight": torch.zeros(2, 32, 48),
        "text_mask": torch.full((2, 32, 48), int(case != "all ignored"), dtype=torch.uint8),
    }
    if case == "one cell":
        targets["direction"][0, 0, 9, 9] = targets["text_weight"][0, 9, 9] = 1
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        (loss,) = head.train()(features(), targets).values()
    loss.backward()
    assert loss.dtype == torch.float32 and torch.isfinite(loss)
    gradients = [p.grad for p in head.parameters()]
    assert all(torch.isfinite(g).all() for g in gradients)
    assert any(g.any() for g in gradients) == (case != "all ignored")


def test_the_finest_map_is_checked():
    cfg = detector_cfg("TextFieldHead", MODEL__TEXT_HEAD__IN_FEATURES=["odd"])
    with pytest.raises(ValueError, match="stride 2, which does not divide 5, the stride of 'odd'"):
        build_text_head(cfg, {"odd": ShapeSpec(channels=8, stride=5)})
