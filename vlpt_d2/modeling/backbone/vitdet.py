"""detectron2's ViTDet (Li et al., ECCV 2022) as a registered backbone."""

from functools import partial

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.modeling.backbone.vit import SimpleFeaturePyramid, ViT
from torch import nn

__all__ = ["ViTDetPyramid", "build_vitdet_pyramid"]


class ViTDetPyramid(SimpleFeaturePyramid):
    """The simple feature pyramid p2 to p5 over a ViT of patches of 16 pixels.

    Its names (``net.*``, ``simfp_*``) are those of detectron2's ViTDet checkpoints.
    """

    @property
    def size_divisibility(self) -> int:
        """Input sides must be multiples of 32, the stride of p5."""
        return self._size_divisibility


@BACKBONE_REGISTRY.register()
def build_vitdet_pyramid(cfg: CfgNode, input_shape: ShapeSpec) -> ViTDetPyramid:
    """Build the ViT and the pyramid of MODEL.VIT with the outputs p2 to p5.

    Args:
        cfg: reads MODEL.VIT; MODEL.BACKBONE.FREEZE_AT must be 0.
        input_shape: gives the number of input channels.

    Raises:
        ImportError: timm, which detectron2's ViT needs, is missing.
        ValueError: MODEL.BACKBONE.FREEZE_AT is not 0, or a global block does not exist.
    """
    node = cfg.MODEL.VIT
    if cfg.MODEL.BACKBONE.FREEZE_AT > 0:
        raise ValueError(
            "a ViT has no stages to freeze: set MODEL.BACKBONE.FREEZE_AT to 0, not "
            f"{cfg.MODEL.BACKBONE.FREEZE_AT}"
        )
    if not set(node.GLOBAL_BLOCKS) <= set(range(node.DEPTH)):
        raise ValueError(
            f"MODEL.VIT.GLOBAL_BLOCKS {tuple(node.GLOBAL_BLOCKS)}: blocks are counted from 0 to "
            f"{node.DEPTH - 1}"
        )
    try:
        net = ViT(
            img_size=node.IMAGE_SIZE,
            patch_size=16,
            in_chans=input_shape.channels,
            embed_dim=node.EMBED_DIM,
            depth=node.DEPTH,
            num_heads=node.NUM_HEADS,
            mlp_ratio=node.MLP_RATIO,
            drop_path_rate=node.DROP_PATH,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=node.RELATIVE_POSITION,
            window_size=node.WINDOW_SIZE,
            window_block_indexes=sorted(set(range(node.DEPTH)) - set(node.GLOBAL_BLOCKS)),
            pretrain_img_size=node.PRETRAIN_SIZE,
        )
    except ImportError as error:
        raise ImportError(
            f"detectron2's ViT needs timm ({error}): pip install timm, or vlpt-d2[vit]"
        ) from error
    return ViTDetPyramid(
        net,
        in_feature="last_feat",
        out_channels=node.OUT_CHANNELS,
        scale_factors=(4.0, 2.0, 1.0, 0.5),
        norm=node.NORM,
    )
