"""Small ResNets with random weights and statistics, in several wrappings."""

import torch
from detectron2.layers import ShapeSpec
from torch import nn

from vlpt_d2.config import get_cfg
from vlpt_d2.modeling.backbone.trunk import build_resnet_trunk


def randomize(model: nn.Module) -> nn.Module:
    """Random norms too, so that an exchanged or forgotten tensor shows."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0, generator=generator)
        elif tensor.dim() == 1 and tensor.is_floating_point():
            tensor.uniform_(-0.5, 0.5, generator=generator)
            if name.endswith("weight"):
                tensor.add_(1.0)
    return model


def trunk_cfg(**resnets):
    """A narrow R-50 in torchvision's layout."""
    cfg = get_cfg()
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.META_ARCHITECTURE = "Holder"
    cfg.MODEL.BACKBONE.NAME = "build_resnet_trunk"
    cfg.MODEL.BACKBONE.FREEZE_AT = 0
    cfg.MODEL.PIXEL_MEAN = [123.675, 116.28, 103.53]
    cfg.MODEL.PIXEL_STD = [58.395, 57.12, 57.375]
    cfg.INPUT.FORMAT = "RGB"
    settings = {
        "DEPTH": 50,
        "NORM": "BN",
        "STRIDE_IN_1X1": False,
        "STEM_OUT_CHANNELS": 4,
        "RES2_OUT_CHANNELS": 8,
        "WIDTH_PER_GROUP": 4,
        **resnets,
    }
    for key, value in settings.items():
        cfg.MODEL.RESNETS[key] = value
    return cfg


class Holder(nn.Module):
    """A model that is a trunk and, if asked, some more."""

    def __init__(self, cfg, **more: nn.Module):
        super().__init__()
        self.backbone = build_resnet_trunk(cfg, ShapeSpec(channels=3))
        for name, module in more.items():
            setattr(self, name, module)

    def outputs(self, images):
        self.eval()
        with torch.no_grad():
            return self.backbone(images)


class Other(Holder):
    """The same under another name: another meta-architecture."""


def assert_same_outputs(a, b, images=None):
    """Compare res2 to res5 of two trunks."""
    images = torch.randn(1, 3, 64, 64) if images is None else images
    found, wanted = a(images), b(images)
    for name in ("res2", "res3", "res4", "res5"):
        assert wanted[name].std() > 0
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-4, atol=1e-5)
