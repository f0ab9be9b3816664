"""The ResNet trunk that pre-training and detectors share, under one key prefix.

Every model of the project holds its ResNet as ``backbone.bottom_up``, so that the trunk of any
checkpoint fits any other model by plain key names.
"""

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, Backbone, ResNet, build_resnet_backbone
from torch import nn
from torch.utils.checkpoint import checkpoint

from ..batch_norm import recompute_contexts
from .clip_resnet import build_clip_resnet
from .deformable import make_deformable
from .lcnet import build_lcnet

RESNET_FEATURES = ("res2", "res3", "res4", "res5")

# Depths of detectron2's ResNet.
_DEPTHS = (18, 34, 50, 101, 152)
# By MODEL.RESNETS.VARIANT.
_BUILDERS = {"plain": build_resnet_backbone, "clip": build_clip_resnet, "lcnet": build_lcnet}


class ResNetTrunk(Backbone):
    """A detectron2 ResNet under the name ``bottom_up``, with optional activation checkpointing."""

    def __init__(self, bottom_up: ResNet, *, checkpointing: bool = False):
        """
        Args:
            bottom_up: the ResNet; its requested output maps are those of this backbone.
            checkpointing: recompute each stage in the backward pass instead of keeping its
                activations. Batch-norm statistics are still updated once.
        """
        super().__init__()
        self.bottom_up = bottom_up
        self.checkpointing = checkpointing
        self._out_features = bottom_up._out_features
        self._out_feature_channels = bottom_up._out_feature_channels
        self._out_feature_strides = bottom_up._out_feature_strides

    @property
    def size_divisibility(self) -> int:
        """Input sides must be multiples of 32, the stride of the last stage."""
        return 32

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """
        Args:
            x: images of shape (N, 3, H, W), normalised.

        Returns:
            dict[str, Tensor]: maps of shape (N, C, H / stride, W / stride).
        """
        if not (self.checkpointing and self.training and torch.is_grad_enabled()):
            return self.bottom_up(x)
        outputs = {}
        x = self.bottom_up.stem(x)
        for name, stage in zip(self.bottom_up.stage_names, self.bottom_up.stages):
            x = checkpointed(stage, x)
            if name in self._out_features:
                outputs[name] = x
        return outputs


def checkpointed(module: nn.Module, *inputs: torch.Tensor) -> torch.Tensor:
    """Run a module without keeping its activations; norms count the recomputation as nothing."""
    return checkpoint(
        module, *inputs, use_reentrant=False, context_fn=lambda: recompute_contexts(module)
    )


@BACKBONE_REGISTRY.register()
def build_resnet_trunk(cfg: CfgNode, input_shape: ShapeSpec) -> ResNetTrunk:
    """Build the trunk of ``MODEL.RESNETS`` with the outputs res2 to res5.

    Args:
        cfg: reads ``MODEL.RESNETS``, ``MODEL.BACKBONE.FREEZE_AT`` and
            ``MODEL.IMAGE_ENCODER.CHECKPOINTING``. The keys ``MODEL.RESNETS.DEFORM_*`` mean what
            they do in detectron2, for R-18 and R-34 too, and need nothing compiled;
            ``MODEL.RESNETS.VARIANT`` chooses between torchvision's layout, CLIP's and PP-LCNetV4.
        input_shape: gives the number of input channels.

    Raises:
        ValueError: there is no such variant or depth, or it lacks what another key asks for.
    """
    cfg = cfg.clone()
    cfg.defrost()
    node = cfg.MODEL.RESNETS
    node.OUT_FEATURES = list(RESNET_FEATURES)
    deformable = list(node.DEFORM_ON_PER_STAGE)
    node.DEFORM_ON_PER_STAGE = [False] * len(RESNET_FEATURES)
    if node.VARIANT not in _BUILDERS:
        raise ValueError(
            f"MODEL.RESNETS.VARIANT is {node.VARIANT!r}; there are {', '.join(_BUILDERS)}"
        )
    if node.VARIANT == "plain" and node.DEPTH not in _DEPTHS:
        raise ValueError(
            f"MODEL.RESNETS.DEPTH is {node.DEPTH}; there are {', '.join(map(str, _DEPTHS))}"
        )
    resnet = _BUILDERS[node.VARIANT](cfg, input_shape)
    make_deformable(
        resnet,
        deformable,
        modulated=node.DEFORM_MODULATED,
        offset_groups=node.DEFORM_NUM_GROUPS,
    )
    return ResNetTrunk(resnet, checkpointing=cfg.MODEL.IMAGE_ENCODER.CHECKPOINTING)
