"""The necks start from weights of the references' spread."""

import pytest
from detectron2.layers import ShapeSpec
from torch import nn

from vlpt_d2.modeling.detection.db.neck import DBNeck
from vlpt_d2.modeling.detection.east.neck import EASTNeck
from vlpt_d2.modeling.detection.psenet.neck import PSENetNeck
from vlpt_d2.modeling.detection.sae.neck import SAENeck
from vlpt_d2.modeling.detection.textfield.neck import TextFieldNeck

SHAPES = [ShapeSpec(channels=64 * 2**i, stride=4 * 2**i) for i in range(4)]


@pytest.mark.parametrize(
    ("neck", "counted"),
    [
        # MhLiao/DB decoders/seg_detector.py: He's rule over the inputs of each output.
        (DBNeck(SHAPES, 256), "in_channels"),
        # whai362/PSENet models/neck/fpn.py and SakuraRiven/EAST model.py: over the outputs.
        (PSENetNeck(SHAPES, 64), "out_channels"),
        (EASTNeck(SHAPES), "out_channels"),
        (TextFieldNeck(SHAPES, 64), "out_channels"),
        (SAENeck(SHAPES, 64), "out_channels"),
    ],
    ids=["DB", "PSENet", "EAST", "TextField", "SAE"],
)
def test_spread_of_the_first_weights(neck, counted):
    layers = [layer for layer in neck.modules() if isinstance(layer, nn.Conv2d)]
    assert len(layers) > 5
    for layer in layers:
        taps = layer.kernel_size[0] * layer.kernel_size[1]
        wanted = (2 / (taps * getattr(layer, counted))) ** 0.5
        assert layer.weight.std().item() == pytest.approx(wanted, rel=0.05)
        assert layer.bias is None
