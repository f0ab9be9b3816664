"""detectron2's Swin transformer (Liu et al., ICCV 2021) as a registered backbone."""

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, Backbone
from detectron2.modeling.backbone.swin import SwinTransformer, SwinTransformerBlock
from torchvision.ops import StochasticDepth

__all__ = ["SwinTrunk", "build_swin_trunk"]


class SwinTrunk(Backbone):
    """A Swin transformer under the name ``bottom_up``, its maps named res2 to res5."""

    def __init__(self, bottom_up: SwinTransformer, drop_path: float = 0.0):
        """
        Args:
            bottom_up: the transformer with its four maps, built without drop path, for which
                detectron2 would need timm.
            drop_path: probability that the last block is skipped, linear from 0 at the first.
        """
        super().__init__()
        self.bottom_up = bottom_up
        blocks = [m for m in bottom_up.modules() if isinstance(m, SwinTransformerBlock)]
        for block, rate in zip(blocks, torch.linspace(0, drop_path, len(blocks)).tolist()):
            block.drop_path = StochasticDepth(rate, mode="row")
        shapes = bottom_up.output_shape()
        self._names = {f"p{i}": f"res{i + 2}" for i in range(4)}
        self._out_features = list(self._names.values())
        self._out_feature_channels = {n: shapes[p].channels for p, n in self._names.items()}
        self._out_feature_strides = {n: shapes[p].stride for p, n in self._names.items()}

    @property
    def size_divisibility(self) -> int:
        """Input sides are padded to multiples of 32, the stride of the last stage."""
        return 32

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """
        Args:
            x: images of shape (N, 3, H, W), normalised.

        Returns:
            dict[str, Tensor]: maps of shape (N, C, H / stride, W / stride), rounded up.
        """
        return {self._names[name]: y for name, y in self.bottom_up(x).items()}


@BACKBONE_REGISTRY.register()
def build_swin_trunk(cfg: CfgNode, input_shape: ShapeSpec) -> SwinTrunk:
    """Build the transformer of MODEL.SWIN with the outputs res2 to res5.

    Args:
        cfg: reads MODEL.SWIN and MODEL.BACKBONE.FREEZE_AT (1: the embedding, 2: and the first
            stage, …).
        input_shape: gives the number of input channels.

    Raises:
        ValueError: MODEL.SWIN is not that of four stages.
    """
    node, freeze = cfg.MODEL.SWIN, cfg.MODEL.BACKBONE.FREEZE_AT
    if not len(node.DEPTHS) == len(node.NUM_HEADS) == 4:
        raise ValueError(
            "MODEL.SWIN.DEPTHS and NUM_HEADS have one number for each of the four stages, not "
            f"{tuple(node.DEPTHS)} and {tuple(node.NUM_HEADS)}"
        )
    bottom_up = SwinTransformer(
        pretrain_img_size=node.PRETRAIN_SIZE,
        in_chans=input_shape.channels,
        embed_dim=node.EMBED_DIM,
        depths=list(node.DEPTHS),
        num_heads=list(node.NUM_HEADS),
        window_size=node.WINDOW_SIZE,
        mlp_ratio=node.MLP_RATIO,
        drop_rate=node.DROPOUT,
        attn_drop_rate=node.ATTENTION_DROPOUT,
        drop_path_rate=0.0,
        ape=node.ABSOLUTE_POSITION,
        frozen_stages=freeze if freeze > 0 else -1,
    )
    return SwinTrunk(bottom_up, node.DROP_PATH)
