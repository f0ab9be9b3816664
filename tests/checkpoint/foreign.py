"""ResNets as other projects build and name them, in plain torch, to compare ours with."""

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.ops import deform_conv2d

BLOCKS = (3, 4, 6, 3)
WIDTH = 8


class Deformable(nn.Module):
    """Deformable 3x3 convolution as OpenMMLab packs it: its own offsets, mask = sigmoid."""

    def __init__(self, width, stride, inside=True):
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.randn(width, width, 3, 3) * 0.1)
        if inside:
            self.conv_offset = nn.Conv2d(width, 27, 3, stride, 1)

    def forward(self, x, offset=None):
        offset = self.conv_offset(x) if offset is None else offset
        shifts, mask = offset[:, :18], offset[:, 18:].sigmoid()
        return deform_conv2d(x, shifts, self.weight, None, self.stride, 1, mask=mask)


class Block(nn.Module):
    """A bottleneck; ``pool`` is for CLIP's strides, ``deform`` "db" or "mmcv"."""

    def __init__(self, inputs, width, stride, pool, deform, first_pool):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        conv_stride = 1 if pool else stride
        if deform == "db":
            self.conv2_offset = nn.Conv2d(width, 27, 3, conv_stride, 1)
        if deform:
            self.conv2 = Deformable(width, conv_stride, inside=deform == "mmcv")
        else:
            self.conv2 = nn.Conv2d(width, width, 3, conv_stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.pool = nn.AvgPool2d(stride) if pool and stride > 1 else nn.Identity()
        self.downsample = None
        if stride > 1 or inputs != 4 * width:
            conv = nn.Conv2d(inputs, 4 * width, 1, 1 if pool else stride, bias=False)
            parts = [conv, nn.BatchNorm2d(4 * width)]
            if pool and first_pool:
                parts.insert(0, nn.AvgPool2d(stride))
            elif pool:
                self.before = nn.AvgPool2d(stride)
            self.downsample = nn.Sequential(*parts)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.conv2(y, self.conv2_offset(y)) if hasattr(self, "conv2_offset") else self.conv2(y)
        y = self.bn3(self.conv3(self.pool(F.relu(self.bn2(y)))))
        if self.downsample is not None:
            x = self.downsample(self.before(x) if hasattr(self, "before") else x)
        return F.relu(x + y)


class ForeignResNet(nn.Module):
    """ResNet-50 of width 8; ``stem`` is "plain", "clip" or "openmmlab" (CLIP's, other names)."""

    def __init__(self, stem="plain", deform=None):
        super().__init__()
        self.kind = stem
        half = WIDTH // 2
        shapes = [(3, half, 2), (half, half, 1), (half, WIDTH, 1)]
        convs = [nn.Conv2d(i, o, 3, s, 1, bias=False) for i, o, s in shapes]
        norms = [nn.BatchNorm2d(o) for _, o, _ in shapes]
        if stem == "plain":
            self.conv1 = nn.Conv2d(3, WIDTH, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(WIDTH)
        elif stem == "clip":
            self.conv1, self.conv2, self.conv3 = convs
            self.bn1, self.bn2, self.bn3 = norms
        else:
            layers = [m for pair in zip(convs, norms) for m in (*pair, nn.ReLU())]
            self.stem = nn.Sequential(*layers)
        inputs = WIDTH
        for i, count in enumerate(BLOCKS):
            blocks = []
            for j in range(count):
                stride = 2 if i > 0 and j == 0 else 1
                blocks.append(
                    Block(
                        inputs,
                        WIDTH * 2**i,
                        stride,
                        stem != "plain",
                        deform if i > 0 else None,
                        stem == "openmmlab",
                    )
                )
                inputs = 4 * WIDTH * 2**i
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))

    def forward(self, x):
        if self.kind == "plain":
            x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        elif self.kind == "clip":
            for conv, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2)):
                x = F.relu(norm(conv(x)))
            x = F.avg_pool2d(F.relu(self.bn3(self.conv3(x))), 2)
        else:
            x = F.avg_pool2d(self.stem(x), 2)
        outputs = {}
        for i in range(1, 5):
            x = outputs[f"res{i + 1}"] = getattr(self, f"layer{i}")(x)
        return outputs

    def outputs(self, images):
        self.eval()
        with torch.no_grad():
            return self(images)
