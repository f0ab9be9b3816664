"""RoISlide: features along a text as a straight strip, and the network that reads it by CTC."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import conv_norm_relu
from .decode import STRIDE
from .reading import ALPHABET, ROWS, word_of

_CHANNELS = 128


class TextReader(nn.Module):
    """Straightens texts and reads them: convolutions, and one character for each column.

    The paper turns each local box upright by an affine map and sets them side by side. Here one
    bilinear grid between the two sides does it for the whole text.
    """

    def __init__(self, in_channels: int, norm: str):
        """
        Args:
            in_channels: of the features.
            norm: see :func:`detectron2.layers.get_norm`.
        """
        super().__init__()
        self.in_channels = in_channels
        self.layers = nn.Sequential(
            conv_norm_relu(in_channels, _CHANNELS, 3, norm),
            nn.MaxPool2d((2, 1)),
            conv_norm_relu(_CHANNELS, _CHANNELS, 3, norm),
            nn.MaxPool2d((2, 1)),
            conv_norm_relu(_CHANNELS, _CHANNELS, 3, norm),
        )
        self.output = nn.Linear(_CHANNELS, len(ALPHABET) + 1)

    def slide(self, features: Tensor, strips: Sequence[Sequence[Tensor]]) -> Tensor:
        """Features of all strips, (K, C, rows, columns), wider than narrow strips are.

        Args:
            features: (N, C, h, w) at stride 4.
            strips: for each image those of its texts, (2, columns, 2) each, in pixels.
        """
        columns = max((strip.shape[1] for image in strips for strip in image), default=1)
        size = features.new_tensor([features.shape[3], features.shape[2]]).float() * STRIDE
        share = (torch.arange(ROWS, device=features.device) + 0.5) / ROWS
        slid = []
        for image, own in zip(features.float(), strips):
            if not len(own):
                continue
            pairs = torch.stack([F.pad(s, (0, 0, 0, columns - s.shape[1])) for s in own])
            # Between top and bottom, one strip below the other: (K * rows, columns, 2).
            grid = torch.lerp(pairs[:, :1], pairs[:, 1:], share[:, None, None]).flatten(0, 1)
            found = F.grid_sample(image[None], (2 * grid / size - 1)[None], align_corners=False)
            slid.append(found[0].unflatten(1, (len(own), ROWS)).transpose(0, 1))
        if not slid:
            # All processes run all layers, also those without a text to read.
            return features.new_zeros(1, self.in_channels, ROWS, columns)
        return torch.cat(slid)

    def forward(self, slid: Tensor) -> Tensor:
        """Logits of blank and characters, (K, columns, len(ALPHABET) + 1)."""
        return self.output(self.layers(slid).mean(dim=2).transpose(1, 2))

    def loss(
        self, features: Tensor, strips: Sequence[Sequence[Tensor]], words: Sequence[list[Tensor]]
    ) -> Tensor:
        """CTC loss a character, in the mean over the texts; 0 without any.

        Args:
            features, strips: of :meth:`slide`.
            words: the numbers of each text's characters, (L,) each.
        """
        logits = self(self.slide(features, strips))
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits.float()
            widths = [strip.shape[1] for image in strips for strip in image]
            letters = [word for image in words for word in image]
            if not letters:
                return 0.0 * logits.sum()
            return F.ctc_loss(
                logits.log_softmax(dim=2).transpose(0, 1),
                torch.cat(letters),
                torch.tensor(widths),
                torch.tensor([len(word) for word in letters]),
                zero_infinity=True,
            )

    @torch.no_grad()
    def read(self, features: Tensor, strips: Sequence[np.ndarray]) -> list[str]:
        """The words of one image's texts.

        Args:
            features: (C, h, w).
            strips: (2, columns, 2) each, in pixels.
        """
        if not strips:
            return []
        own = [torch.from_numpy(strip).to(features.device) for strip in strips]
        best = self(self.slide(features[None], [own])).argmax(dim=2).cpu().numpy()
        return [word_of(row[: strip.shape[1]]) for row, strip in zip(best, strips)]
