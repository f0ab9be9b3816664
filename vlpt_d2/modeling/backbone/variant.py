"""What the variants of the trunk that are not detectron2's own ResNet have in common."""

from collections.abc import Callable, Collection

from detectron2.config import CfgNode
from detectron2.layers import CNNBlockBase
from detectron2.modeling import ResNet

__all__ = ["stack_blocks", "unsuitable_keys"]

_PLAIN = {"STRIDE_IN_1X1": False, "NUM_GROUPS": 1, "RES5_DILATION": 1}


def unsuitable_keys(node: CfgNode, depths: Collection[int]) -> list[str]:
    """Say which keys of MODEL.RESNETS ask for what a variant lacks.

    Args:
        node: MODEL.RESNETS.
        depths: the values of DEPTH that there are.
    """
    wrong = [f"MODEL.RESNETS.{k} is {node[k]}" for k, v in _PLAIN.items() if node[k] != v]
    if node.DEPTH not in depths:
        wrong.append(f"MODEL.RESNETS.DEPTH is {node.DEPTH}")
    return wrong


def stack_blocks(
    cfg: CfgNode,
    stem: CNNBlockBase,
    counts: tuple[int, ...],
    make_block: Callable[[int, int, int, int], CNNBlockBase],
) -> ResNet:
    """Put stages of blocks behind a stem, as detectron2's ResNet holds them.

    Args:
        cfg: reads RES2_OUT_CHANNELS, which each later stage doubles, and OUT_FEATURES of
            MODEL.RESNETS, and MODEL.BACKBONE.FREEZE_AT.
        stem: of stride 4.
        counts: blocks of each stage, res2 first.
        make_block: called with the channels of input and output and the numbers, from 0, of stage
            and block.
    """
    channels, stages = stem.out_channels, []
    for stage, count in enumerate(counts):
        out_channels = cfg.MODEL.RESNETS.RES2_OUT_CHANNELS * 2**stage
        blocks = []
        for index in range(count):
            blocks.append(make_block(channels, out_channels, stage, index))
            channels = out_channels
        stages.append(blocks)
    return ResNet(
        stem,
        stages,
        out_features=list(cfg.MODEL.RESNETS.OUT_FEATURES),
        freeze_at=cfg.MODEL.BACKBONE.FREEZE_AT,
    )
